"""The data of the paper's figures: what was measured, point by point, and what decides each of the paper's sentences.

`model` holds a built figure and its JSON, `markdown` prints it; the other modules measure, one per kind of figure: a
function (profile, experiment, cells, folder, command) -> `FigureData`. The registry names it (`Experiment.measure`)
beside the function that draws it (`Experiment.draw`, in `repro.figures`). Nothing here trains, samples or draws.
"""
