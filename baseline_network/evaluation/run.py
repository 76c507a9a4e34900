"""What evaluate.py runs: records in, tables, figures and a sheet of predictions out."""

from __future__ import annotations

import json
import os
from typing import Any

from baseline_network.evaluation import evaluation_report, evaluation_sheet, record_evaluation
from baseline_network.images import detection
from baseline_network.network import network_files
from baseline_network.prediction.predictor import Predictor
from tfrecords import reader
from tools.cli import plans
from tools.cli.command import Flags
from tools.pose import joints


def evaluate_network(flags: Flags) -> int:
    """Evaluates a network on records, prints the tables and writes the report; returns the exit status.

    Raises:
      InputError: the records or the weights are of no use.
    """
    records = reader.find(flags.data)
    if flags.dry_run:
        names = ("table.md", "figures.json", *(["sheet.png"] if flags.sheet else []))
        count = min(len(records), flags.limit or len(records))
        return plans.show(
            flags,
            [f"{flags.data}: {len(records):,} records", network_files.described(flags.weights)],
            [f"the first {count:,} records, boxes: {flags.boxes}"],
            [os.path.join(flags.output, name) for name in names] if flags.output else [],
        )
    network = network_files.weights_of(flags.weights)
    predictor = Predictor(network, flags.flip, flags.margin or None)
    sizes = network.sizes
    print(
        f"{network.directory}: {sizes.stacks} stacks, {sizes.modules} modules, {sizes.features} features, "
        f"{sizes.resolution} px; {len(records):,} records"
    )
    people = detection.Chooser(detector=flags.detector).people if flags.boxes == "detected" else None
    rule: dict[str, Any] = {
        "min_provenance": joints.LABELLED if flags.labelled_only else joints.MADE,
        "published_thorax": flags.published_thorax,
    }
    result = record_evaluation.evaluate_records(
        predictor, flags.data, flags.batch_size, limit=flags.limit, people=people, **rule
    )
    figures = evaluation_report.figures(result)
    print("\n" + evaluation_report.tables(figures, flags.actions))
    for reason, count in result.skipped.items():
        print(f"\nleft out: {count:,} records, {reason}")
    for line in result.named:
        print(f"  {line}")
    if people is not None:
        print(
            f"\nnot found by the detector: {result.unfound:,} of {len(result):,} people; their joints count as missed"
        )
    flags.report.update(
        weights=network.directory, data=flags.data, figures=figures, skipped=result.skipped, unfound=result.unfound
    )
    if not flags.output:
        if not flags.json:
            print("\n" + json.dumps(figures["all"]))
        return 0
    flags.report["output"] = flags.output
    pictures = evaluation_report.diagrams(result)
    if flags.sheet:
        sheet = evaluation_sheet.contact_sheet(predictor, flags.data, result, flags.sheet, **rule)
        if sheet is not None:
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
        **figures,
        "unfound": result.unfound,
        "named": result.named,
    }
    evaluation_report.write(flags.output, content, evaluation_report.tables(figures), pictures)
    print(f"\ntable.md, figures.json and pictures are in {flags.output}")
    return 0
