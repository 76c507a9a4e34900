"""Measures a baseline network on TFRecords with pictures whose joints are known.

    python baseline_network/evaluate.py --data=records/val
    python baseline_network/evaluate.py --weights=experiments/.../export --data=records/val --output=report

Prints PCKh, PCK, MPJPE with the published rescaling of the bones and without it, N-MPJPE, P-MPJPE, 3DPCK and AUC, over
all people, by data set, action and joint, and for visible and occluded joints; --output takes the tables, JSON, plots
and a sheet of the best, middle and worst predictions. What has no 3D truth is measured in 2D. What each figure means
stands in docs/baseline_network.md.
"""

from tools.cli import command, outputs
from tools.cli.errors import InputError


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
        flags.enum(
            "boxes",
            "record",
            ["record", "detected"],
            "crops lie around the record's box (or its joints), or around the box of a detector; people it does not "
            "find count as missed",
        )
    with flags.group("Report"):
        flags.boolean("actions", False, "also print the table by action")
        flags.string("output", "", "folder for table.md, figures.json, plots and sheet.png")
        flags.integer("sheet", 4, "how many best, middle and worst predictions are drawn; 0: none", lower_bound=0)
        flags.boolean("overwrite", False, "replace what is in --output")
    return flags


def main(flags: command.Flags) -> int:
    """Runs the command."""
    import os

    flags.require("data")
    if flags.given("sheet") and not flags.output:
        raise InputError("--sheet: goes with --output")
    if flags.output:
        outputs.check_folder(flags.output)
        outputs.check_free(os.path.join(flags.output, "figures.json"), flags.overwrite)
    import json

    from tfrecords import reader
    from tools.pose import joints

    records = reader.find(flags.data)
    from baseline_network.evaluation import records as record_evaluation
    from baseline_network.evaluation import report as evaluation_report
    from baseline_network.evaluation import sheet as evaluation_sheet
    from baseline_network.network import network_files
    from baseline_network.prediction import predictor as predicting

    network = network_files.load(flags.weights) if flags.weights else network_files.default_weights()
    predictor = predicting.Predictor(network, flags.flip, flags.margin or None)
    sizes = network.sizes
    print(
        f"{network.directory}: {sizes.stacks} stacks, {sizes.modules} modules, {sizes.features} features, "
        f"{sizes.resolution} px; {len(records):,} records"
    )
    people = None
    if flags.boxes == "detected":
        from baseline_network.images import detection

        people = detection.Chooser().people
    how = {
        "least": joints.LABELLED if flags.labelled_only else joints.MADE,
        "published_thorax": flags.published_thorax,
    }
    result = record_evaluation.evaluate(
        predictor, flags.data, flags.batch_size, limit=flags.limit, people=people, **how
    )
    found = evaluation_report.figures(result)
    print("\n" + evaluation_report.tables(found, flags.actions))
    for reason, count in result.skipped.items():
        print(f"\nleft out: {count:,} records, {reason}")
    for line in result.named:
        print(f"  {line}")
    if people is not None:
        print(
            f"\nnot found by the detector: {result.unfound:,} of {len(result):,} people; their joints count as missed"
        )
    if not flags.output:
        print("\n" + json.dumps(found["all"]))
        return 0
    pictures = evaluation_report.diagrams(result)
    sheet = flags.sheet and evaluation_sheet.contact_sheet(predictor, flags.data, result, flags.sheet, **how)
    if sheet is not None and flags.sheet:
        pictures["sheet.png"] = sheet
    content = {
        "weights": network.directory,
        "data": flags.data,
        "settings": {
            "flip": predictor.flip,
            "margin": predictor.margin,
            "boxes": flags.boxes,
            "limit": flags.limit,
            "labelled_only": flags.labelled_only,
            "published_thorax": flags.published_thorax,
        },
        **found,
        "unfound": result.unfound,
        "named": result.named,
    }
    evaluation_report.write(flags.output, content, evaluation_report.tables(found), pictures)
    print(f"\ntable.md, figures.json and pictures are in {flags.output}")
    return 0


if __name__ == "__main__":
    command.run(main, declare)
