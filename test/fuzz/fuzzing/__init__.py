"""What is fed with thousands of bad inputs, and how: the tests take a few hundred, ``run.py`` all it can."""
