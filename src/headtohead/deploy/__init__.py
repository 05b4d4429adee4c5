"""A finished study at work: predict, evaluate, explain, export, demo. No import here loads torch.

runs.py        which run is meant, and its model
image_files.py     what is to be looked at: names, folders, patterns, images in memory
predictor.py   images → classes and calibrated probabilities
answers.py     predictions as a table, CSV or JSON lines
evaluate.py    every head and seed on new labelled images
overlap.py     which new images the study has, too
explain.py     where a model looks, drawn
export.py      a model for other programs, proved there
demo.py        a local page to drop photographs on
"""
