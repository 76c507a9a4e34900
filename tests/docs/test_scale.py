"""The page on clusters: its manifest, its batching parameters, and the TF_CONFIG that it shows."""

import json
import re

import pytest
import yaml

from tools.serving.batching import Batching


def test_the_manifest_is_valid_and_names_its_workers(repository):
    path = repository / "docs" / "kubernetes" / "train.yaml"
    service, job = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
    (script,) = pod["containers"][0]["args"]
    config = re.search(r"TF_CONFIG='(.*)'\n", script)[1]
    for number in range(job["spec"]["completions"]):
        content = json.loads(config.replace("'$JOB_COMPLETION_INDEX'", str(number)))
        workers = content["cluster"]["worker"]
        assert len(workers) == job["spec"]["completions"] == job["spec"]["parallelism"]
        # The names that an indexed Job gives its pods.
        name, subdomain = job["metadata"]["name"], service["metadata"]["name"]
        assert workers[number] == f"{name}-{number}.{subdomain}:{service['spec']['ports'][0]['port']}"
        assert content["task"] == {"type": "worker", "index": number}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == job["spec"]["template"]["metadata"]["labels"]


def test_the_manifest_fits_the_schemas_of_kubernetes(repository):
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    path = repository / "docs" / "kubernetes" / "train.yaml"
    for content in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        validate.validate(content, "1.27", strict=True)
        with pytest.raises(validate.ValidationError):
            validate.validate({**content, "spec": {**content["spec"], "copies": 2}}, "1.27", strict=True)


def test_the_batching_parameters_are_read(repository):
    batching = Batching.read(str(repository / "docs" / "kubernetes" / "batching_parameters.txt"))
    assert batching == Batching(64, 2000, 100, (8, 64))


def test_every_tf_config_of_the_page_is_json(repository):
    text = (repository / "docs" / "scale.md").read_text(encoding="utf-8")
    configs = re.findall(r"TF_CONFIG='(.*)'", text)
    assert len(configs) == 2
    for config in configs:
        content = json.loads(config)
        assert content["task"]["type"] in content["cluster"]
