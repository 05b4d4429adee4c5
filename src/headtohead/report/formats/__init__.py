"""What a report is written as, beside the page: tables, figures, event files."""
