"""Study data → everything that is read by people: page, tables, figures, TensorBoard's files."""

from collections.abc import Iterator, Sequence

from headtohead.core.files import write_atomic
from headtohead.report.beside import Beside
from headtohead.report.charts.confusion import confusion_charts
from headtohead.report.classes import misclassified, misclassified_csv, per_class_csv
from headtohead.report.formats.csv import results_csv
from headtohead.report.formats.figures import write_charts, write_figures
from headtohead.report.formats.latex import latex_tables
from headtohead.report.formats.markdown import report_markdown
from headtohead.report.formats.summary import summary_json
from headtohead.report.formats.tensorboard import make_whole
from headtohead.report.page.content import SHOWN_IMAGES, Content, gather
from headtohead.report.page.hard_images import predictions_on_test
from headtohead.report.page.html import arrange
from headtohead.report.summary import Summary, summarize
from headtohead.study_data import StudyData


def render(
    data: StudyData,
    *,
    pictures: int = SHOWN_IMAGES,
    beside: Sequence[Beside] = (),
    figures: bool = False,
    claims: bool = False,
) -> Summary:
    """Write `report.html`, `report.md`, `tables/`, `results.csv` and `summary.json`.

    TensorBoard's files are completed, too. `pictures` test images are in each of the page's
    grids; other software's runs, `beside`, have a section of it. With `figures` the article's
    figures and every chart of the page are written to `figures/`, as PNG and SVG; with `claims`
    the page shows the claims about pooling unfolded whatever the reference is. From records and
    evidence alone: no weights, no images, no torch. What is not there yet is said in
    `Summary.notes` and on the page. Raises UsageError for records that do not belong to the study
    and StorageError where the folder may not be written.
    """
    summary = summarize(data)
    content = gather(data, summary, pictures, beside, claims)
    write_atomic(data.out / "results.csv", results_csv(summary))
    write_atomic(data.out / "summary.json", summary_json(summary, content.claims.judged))
    write_atomic(data.out / "report.html", arrange(content, pictures).encode())
    write_atomic(data.out / "report.md", report_markdown(content))
    for name, table in latex_tables(content).items():
        write_atomic(data.out / "tables" / name, table)
    for name, table in _of_classes(data, summary, content):
        write_atomic(data.out / "tables" / name, table)
    for run in data.results:
        make_whole(data, run)
    if figures:
        write_figures(data)
        drawn = (*content.charts, *confusion_charts(content.confusions))
        write_charts(drawn, data)
    return summary


def _of_classes(data: StudyData, summary: Summary, content: Content) -> Iterator[tuple[str, bytes]]:
    """CSV of every head's classes, and of the images that the winner misclassifies."""
    if content.by_class:
        yield "per_class.csv", per_class_csv(content.by_class, summary)
    splits = predictions_on_test(data).get(summary.winner.head) if summary.winner else None
    if splits:
        found = misclassified(splits)
        yield "misclassified.csv", misclassified_csv(found, data.file.classes, data.image_table)
