"""A finished study at work: predict, evaluate, explain, export, demo. No import here loads torch.

commands.py         what each command does with a study's folder
runs.py             which run is meant, and its model
opening.py          a study's folder → a predictor
predictor.py        images → classes and calibrated probabilities
image_files.py      what is to be looked at: names, folders, patterns, images in memory
answers.py          predictions as a table, CSV or JSON lines
estimator.py        a study as an estimator of scikit-learn's
evaluate.py         every head and seed on new labelled images
new_images.py       which of those are of the study's classes
overlap.py          which of them the study has, too
explain.py          where a model looks, drawn
export.py           a model for other programs, proved there
card.py             its model card
shipped_scripts.py  the scripts (in examples/) that run it without headtohead
onnx_resize.py      resizing within an ONNX model
keras_twin.py       the tutorial's network in Keras
demo.py             a local page (in page/) to drop photographs on
"""
