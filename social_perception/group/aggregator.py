"""From single smiles to the group's: weights, dispersion, trend and synchrony.

Source of the weights: A. Dhall, R. Goecke, T. Gedeon, "Automatic Group Happiness Intensity
Analysis", IEEE Transactions on Affective Computing 6(1), 2015, section on the weighted group
expression model (GEM_w): a face counts more the larger it is relative to the mean face and the
nearer it is to the group's centroid.
"""
