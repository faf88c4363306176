"""Reads Prometheus' text format with Prometheus' own parser, from standard input to standard output.

Prints one JSON object: {"families": {NAME: {"type": ..., "help": ...}},
"samples": [[NAME, {LABEL: VALUE}, NUMBER]]}.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

families, samples = {}, []
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.name not in families, family.name + " twice"
    families[family.name] = {"type": family.type, "help": family.documentation}
    samples += [[s.name, s.labels, s.value] for s in family.samples]
json.dump({"families": families, "samples": samples}, sys.stdout)
