"""Measures a baseline network on TFRecords with pictures whose joints are known.

    python baseline_network/evaluate.py --data=records/val
    python baseline_network/evaluate.py --weights=experiments/.../export --data=records/val --output=report

Prints PCKh, PCK, MPJPE with the published rescaling of the bones and without it, N-MPJPE, P-MPJPE, 3DPCK and AUC, over
all people, by data set, action and joint, and for visible and occluded joints; --output takes the tables, JSON, plots
and a sheet of the best, middle and worst predictions. What has no 3D truth is measured in 2D. What each figure means
stands in docs/baseline_network.md.
"""

from tools.cli import command


def declare():
    """The flags of this command."""
    flags = command.Flags(__doc__)
    with flags.group("What is measured"):
        flags.string("weights", "", "folder with the network's weights; not given: those shipped")
        flags.string("data", None, "TFRecords with pictures: folder, manifest or glob")
        flags.integer("limit", 0, "only the first so many records; 0: all", lower_bound=0)
        flags.boolean("labelled_only", False, "leave out joints that nobody labelled but a rule made")
        flags.boolean("published_thorax", False, "joint 7 as the published evaluation has it (Human3.6M's Spine)")
    with flags.group("How people are predicted"):
        flags.boolean("flip", True, "average with the mirrored picture's prediction; takes twice as long")
        flags.integer("batch_size", 32, "pictures at a time", lower_bound=1)
        flags.float("margin", 0.0, "side of the crop over the longer side of the box; 0: as in training", lower_bound=0)
    with flags.group("Report"):
        flags.boolean("actions", False, "also print the table by action")
        flags.string("output", "", "folder for table.md, figures.json, plots and sheet.png")
        flags.integer("sheet", 4, "how many best, middle and worst predictions are drawn; 0: none", lower_bound=0)
        flags.boolean("overwrite", False, "replace what is in --output")
    return flags


def main(options):
    """Runs the command."""
    import os

    from tools.cli.errors import InputError

    options.require("data")
    if options.given("sheet") and not options.output:
        raise InputError("--sheet: goes with --output")
    if options.output:
        if os.path.exists(options.output) and not os.path.isdir(options.output):
            raise InputError(f"--output={options.output}: is a file, not a folder")
        if os.path.exists(os.path.join(options.output, "figures.json")) and not options.overwrite:
            raise InputError(f"{options.output}: holds a report; give --overwrite to replace it")
    import json

    from tfrecords import reader
    from tools.pose import joints

    records = reader.find(options.data)
    from baseline_network.evaluation import records as record_evaluation
    from baseline_network.evaluation import report as evaluation_report
    from baseline_network.evaluation import sheet as evaluation_sheet
    from baseline_network.network import network_files
    from baseline_network.prediction import predictor as predicting

    network = network_files.load(options.weights) if options.weights else network_files.default_weights()
    predictor = predicting.Predictor(network, options.flip, options.margin or None)
    sizes = network.sizes
    print(
        f"{network.directory}: {sizes.stacks} stacks, {sizes.modules} modules, {sizes.features} features, "
        f"{sizes.resolution} px; {len(records):,} records"
    )
    how = {
        "least": joints.LABELLED if options.labelled_only else joints.MADE,
        "published_thorax": options.published_thorax,
    }
    result = record_evaluation.evaluate(predictor, options.data, options.batch_size, limit=options.limit, **how)
    found = evaluation_report.figures(result)
    print("\n" + evaluation_report.tables(found, options.actions))
    for reason, count in result.skipped.items():
        print(f"\nleft out: {count:,} records, {reason}")
    for line in result.named:
        print(f"  {line}")
    if not options.output:
        print("\n" + json.dumps(found["all"]))
        return
    pictures = evaluation_report.diagrams(result)
    sheet = options.sheet and evaluation_sheet.contact_sheet(predictor, options.data, result, options.sheet, **how)
    if sheet is not None and options.sheet:
        pictures["sheet.png"] = sheet
    content = {
        "weights": network.directory,
        "data": options.data,
        "settings": {
            "flip": predictor.flip,
            "margin": predictor.margin,
            "limit": options.limit,
            "labelled_only": options.labelled_only,
            "published_thorax": options.published_thorax,
        },
        **found,
        "named": result.named,
    }
    evaluation_report.write(options.output, content, evaluation_report.tables(found), pictures)
    print(f"\ntable.md, figures.json and pictures are in {options.output}")


if __name__ == "__main__":
    command.run(main, declare)
