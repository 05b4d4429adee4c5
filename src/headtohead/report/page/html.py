"""The content of a study's page, arranged by the template."""

from headtohead.core.text import points
from headtohead.report.classes import CLASS_TITLES
from headtohead.report.page.content import SHOWN_IMAGES, Content
from headtohead.report.page.frame import render_template
from headtohead.report.page.recipe import recipe_facts
from headtohead.report.page.setting import clusters_text, epochs_text, probed
from headtohead.report.page.tables import falling_first

CERTAINTY = {
    "decided": "decided",
    "open": "not decided",
    "nothing": "nothing to decide",
    "unjudged": "not judged",
    "few": "too few test images",
    "unlearned": "nothing learned",
    "failed": "all runs failed",
}


def arrange(page: Content, pictures: int = SHOWN_IMAGES) -> str:
    """The page as HTML."""
    file = page.summary.file
    return render_template(
        "page.html.j2",
        page.charts,
        page=page,
        summary=page.summary,
        study=file.study,
        classes=file.classes,
        counts=file.counts,
        pictures=f"{sum(file.sizes.values()):,}",
        pictures_each=pictures,
        finished=sum(head.finished for head in page.summary.heads),
        planned=page.summary.planned,
        majority=file.majority_share("test"),
        epochs=epochs_text(file.study),
        recipe=recipe_facts(file),
        clusters=clusters_text(file.study),
        followers=[name for name, head in file.study.heads.items() if head.after],
        probed=probed(),
        margin=points(file.study.verdict.margin),
        certainty=CERTAINTY,
        class_titles=CLASS_TITLES,
        falling_first=falling_first(),
    )
