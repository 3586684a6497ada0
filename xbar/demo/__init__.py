"""The embedded default of `xbar run`: a small CNN for scikit-learn's digits, from `python -m xbar.demo.train`."""
