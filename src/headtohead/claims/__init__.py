"""Claims: statements tested on evidence. One file each; `table` lists them."""
