"""Examples at the end of each verb's help; a test finds a verb without any."""

from __future__ import annotations

import argparse

from lmtx_ray.cli.arguments import all_parsers

EXAMPLES = {
    "": "lmtx init docs.csv tags.csv   # begin here\nlmtx run my.yaml\nlmtx demo",
    "init": (
        "lmtx init docs.csv tags.csv\n"
        "lmtx init docs/ tags.csv --judge http://127.0.0.1:8000/v1 --out news.yaml\n"
        "lmtx init 's3://lake/docs/*.parquet' s3://lake/tags.csv --judge none --yes"
    ),
    "demo": "lmtx demo\nlmtx demo --set judge.teacher.model=Qwen/Qwen3-0.6B"
    " --set judge.teacher.prompt=subject",
    "run": "lmtx run my.yaml\nlmtx run my.yaml --set cycles.most=1 --set corpus.limit=500\n"
    "lmtx run my.yaml --until judge --cycle 1",
    "plan": "lmtx plan my.yaml\nlmtx plan my.yaml --set judge.top_k=10",
    "tag": (
        "lmtx tag --bundle runs/my --input new.csv --output tagged\n"
        "lmtx tag --bundle runs/my/latest --input s3://lake/drop/ --output s3://lake/tags/"
        " --append-new\n"
        "lmtx tag --bundle runs/my --input new.csv --output tags.csv --allow-file keys.txt"
    ),
    "tag-text": 'lmtx tag-text --bundle runs/my "A trial of beta blockers"\n'
    'lmtx tag-text --bundle runs/my --under C14 --deny C14.280 "A trial of beta blockers"\n'
    "cat letter.txt | lmtx tag-text --bundle runs/my -",
    "sweep": "lmtx sweep tagged",
    "serve": "lmtx serve --bundle runs/my\n"
    "LMTX_API_KEYS_FILE=keys.txt lmtx serve --bundle runs/my --host 0.0.0.0 --port 9000",
    "promote": "lmtx promote --bundle runs/my/latest",
    "rollback": "lmtx rollback",
    "key": "lmtx key anna\nlmtx key editor --right labels",
    "labels": "lmtx labels import thesaurus.ttl labels.parquet\n"
    "lmtx labels add runs/my new.csv bundles/monday",
    "labels import": (
        "lmtx labels import thesaurus.ttl labels.parquet --language de,en\n"
        "lmtx labels import subjects.tsv labels.parquet        # of Annif\n"
        "lmtx labels import tags.csv labels.csv --key code --text name --aliases synonyms"
        " --separator ';'"
    ),
    "labels check": (
        "lmtx labels check labels.parquet\n"
        "lmtx labels check runs/my/latest --tags tagged --output odd.csv"
    ),
    "judge-check": "lmtx judge-check my.yaml\n"
    "lmtx judge-check my.yaml --expected pairs.csv --pairs 400",
    "verdicts": "lmtx verdicts stats my.yaml",
    "verdicts stats": "lmtx verdicts stats my.yaml\nlmtx verdicts stats s3://lake/verdicts",
    "verdicts export": "lmtx verdicts export my.yaml answers.csv --keys",
    "verdicts import": "lmtx verdicts import my.yaml reviewed.csv",
    "verdicts merge": "lmtx verdicts merge my.yaml",
    "evaluate": (
        "lmtx evaluate --tags tagged --gold gold.csv\n"
        "lmtx evaluate --tags runs/mine\n"
        "lmtx evaluate --tags tags.csv --gold gold.csv --labels labels.csv --gold-labels subjects\n"
        "lmtx evaluate --tags scores.xmc.txt --gold tst_X_Y.txt --self-matches "
        "filter_labels_test.txt"
    ),
    "compare": (
        "lmtx compare runs/one runs/two\nlmtx compare tagged-may tagged-june --gold gold.csv\n"
        "lmtx compare one.xmc.txt two.xmc.txt --gold tst_X_Y.txt --self-matches "
        "filter_labels_test.txt"
    ),
    "optimize": (
        "lmtx optimize runs/my                              # the whole table\n"
        "lmtx optimize runs/my --precision 0.9              # at most 10 % of the tags wrong\n"
        "lmtx optimize runs/my --precision 0.9 --store      # a bundle that tags so by default\n"
        "lmtx optimize runs/my --gold gold.csv --tags tagged"
    ),
    "recalibrate": "lmtx recalibrate runs/my",
    "gaps": "lmtx gaps tagged --bundle runs/my\n"
    "lmtx gaps tags.csv new.csv --bundle runs/my --output gaps.csv",
    "labels add": "lmtx labels add runs/my new.csv bundles/monday",
    "labels remove": "lmtx labels remove bundles/monday gone.txt bundles/tuesday",
    "labels update": (
        "lmtx labels update bundles/tuesday renamed.csv bundles/wednesday\n"
        "lmtx labels update bundles/monday --to labels.csv --dry-run\n"
        "lmtx labels update bundles/monday bundles/tuesday --to labels.csv"
    ),
    "report": "lmtx report runs/my\nlmtx report my.yaml --output my.html",
    "sample-for-review": (
        "lmtx sample-for-review runs/mine --output review.csv\n"
        "lmtx sample-for-review tagged --run runs/mine --size 300 --output review.csv"
    ),
    "review-score": (
        "lmtx review-score review.csv\nlmtx review-score review.csv --run runs/mine --wrong 0.05"
    ),
    "runs": "lmtx runs\nlmtx runs s3://lake/runs",
    "config": (
        "lmtx config --defaults\nlmtx config --schema > lmtx.schema.json\n"
        "lmtx config --docs > docs/config.md"
    ),
    "completion": "lmtx completion bash > ~/.local/share/bash-completion/completions/lmtx\n"
    'lmtx completion zsh > "${fpath[1]}/_lmtx"',
}


def add_examples(parser: argparse.ArgumentParser) -> None:
    """Put its examples at the end of each verb's help."""
    for verb, below in all_parsers(parser):
        if verb in EXAMPLES:
            lines = "\n".join(f"  {line}" for line in EXAMPLES[verb].splitlines())
            below.epilog = f"examples:\n{lines}"
