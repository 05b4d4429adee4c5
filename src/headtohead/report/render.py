"""The ledger → everything that is read by people: page, tables, figures, TensorBoard's files."""

from collections.abc import Sequence

from headtohead.core.files import write_atomic
from headtohead.report.beside import Beside
from headtohead.report.figures import write_figures
from headtohead.report.latex import latex_tables
from headtohead.report.markdown import report_markdown
from headtohead.report.page.content import PICTURES, gather
from headtohead.report.page.files import write_charts
from headtohead.report.page.html import arrange
from headtohead.report.summary import Summary, summarize
from headtohead.report.table import results_csv, summary_json
from headtohead.report.tensorboard import make_whole
from headtohead.store.ledger import Ledger


def render(ledger: Ledger, *, pictures: int = PICTURES, beside: Sequence[Beside] = ()) -> Summary:
    """Write `report.html`, `report.md`, `tables/`, `results.csv` and `summary.json`.

    TensorBoard's files are completed, too. `pictures` test pictures are in each of the page's
    grids; other software's runs, `beside`, have a section of it. From records and evidence alone:
    no weights, no pictures, no torch. What is not there yet is said in `Summary.notes` and on the
    page. Raises UsageError for records that do not belong to the study and StorageError where the
    folder may not be written.
    """
    summary = summarize(ledger)
    content = gather(ledger, summary, pictures, beside)
    write_atomic(ledger.out / "results.csv", results_csv(summary))
    write_atomic(ledger.out / "summary.json", summary_json(summary, content.judged))
    write_atomic(ledger.out / "report.html", arrange(content, pictures).encode())
    write_atomic(ledger.out / "report.md", report_markdown(content))
    for name, table in latex_tables(content).items():
        write_atomic(ledger.out / "tables" / name, table)
    histories = {(run.record.head, run.record.seed): run.history for run in ledger.runs()}
    for run in summary.runs:
        make_whole(ledger, run, histories[run.head, run.seed])
    return summary


def render_figures(ledger: Ledger, *, beside: Sequence[Beside] = ()) -> None:
    """Write the article's figures and every chart of the page to `figures/`, as PNG and SVG.

    Raises as `render` does.
    """
    write_figures(ledger)
    write_charts(gather(ledger, summarize(ledger), 0, beside), ledger.out / "figures")
