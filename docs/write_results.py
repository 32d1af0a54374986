"""Writes docs/results.md from the results of experiments in docs/results.

Beside a file of tools/experiment.py may stand one of the same name with the ending .md: what its
numbers say, which is put below the heading.
"""

from pathlib import Path

from repnext_mm.experiments.report import as_markdown
from repnext_mm.experiments.results import read_results
from repnext_mm.files import write_text

FOLDER = Path(__file__).resolve().parent / 'results'
PAGE = FOLDER.with_suffix('.md')
INTRODUCTION = """# Results

Experiments of this project on real data that fits one processor core, from scratch, with slim
networks: what they compare is measured here, and nothing is taken from a paper. The numbers are
small because networks, images and schedules are. This page is generated: `python
docs/write_results.py` writes it from [results/](results), the `results.json` files of
`tools/experiment.py`.

Data, to be unpacked by `python tools/prepare_data.py NAME ARCHIVE` into `data/`:

- `cifar10`: CIFAR-10 (Krizhevsky 2009) as JPEG files in a `.tar.gz`: `train/CLASS/*.jpg`, `test/CLASS/*.jpg`.
- `nuclei`: 2018 Data Science Bowl, stage 1 (Broad Institute, CC0): `nuclei/ID/images/ID.png`,
  `nuclei/ID/masks/*.png`.
- `camvid`: CamVid at 240x180: `camvid/images/{train,val}/*.jpg`, `camvid/annotations/{train,val}/*.png`
  with labels 0 to 10 and 11 for void.

Training is resumed, and later seeds are added, with `--resume`; `--speed-only` measures the speed of
all rows anew, on an idle machine.
"""


def page() -> str:
    """The text of the page."""
    sections = []
    for path in sorted(FOLDER.glob('*.json')):
        remarks = path.with_suffix('.md')
        text = remarks.read_text(encoding='utf-8') if remarks.is_file() else ''
        section = as_markdown(read_results(path), level=2, remarks=text)
        if path.with_suffix('.png').is_file():
            section += f'\n![{path.stem}: metric over latency](results/{path.stem}.png)\n'
        sections.append(section)
    return '\n'.join([INTRODUCTION, *sections])


if __name__ == '__main__':
    write_text(PAGE, page())
