"""The ledger → everything that is read by people: tables, figures, TensorBoard's files."""

from headtohead.files import write_atomic
from headtohead.report.figures import write_figures
from headtohead.report.summary import Summary, summarize
from headtohead.report.table import results_csv, summary_json
from headtohead.report.tensorboard import make_whole
from headtohead.study.ledger import Ledger


def render(ledger: Ledger) -> Summary:
    """Write `results.csv`, `summary.json` and `figures/`, and complete `tensorboard/`.

    From records and evidence alone: no weights, no pictures, no torch. What is not there yet is
    said in `Summary.notes`. Raises UsageError for records that do not belong to the study and
    StorageError where the folder may not be written.
    """
    summary = summarize(ledger)
    write_atomic(ledger.out / "results.csv", results_csv(summary))
    write_atomic(ledger.out / "summary.json", summary_json(summary))
    write_figures(ledger)
    histories = {(run.record.head, run.record.seed): run.history for run in ledger.runs()}
    for run in summary.runs:
        make_whole(ledger, run, histories[run.head, run.seed])
    return summary
