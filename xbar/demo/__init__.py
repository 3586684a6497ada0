"""The embedded default of `xbar run` and `make demo`: a small CNN for scikit-learn's digits, trained by `python -m xbar.demo.train`."""
