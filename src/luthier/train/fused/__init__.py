"""Fused training: trials that differ only in numbers share one compiled program, a whole epoch in it.

A trial's training step is traced as it is written, the numbers are taken out of the trace
(``numbers.py``), and what remains is compiled once, with the numbers, the weights and the order of the
data as arguments (``program.py``); the next trial with the same remainder finds it there
(``programs.py``). Nothing has to be known of optimizers or layers: whatever number a configuration
leads to, a learning rate or the strength of a regulariser, is a number in the trace.

It runs on JAX: for Keras models whose backend is JAX (``keras_epochs.py``, ``reasons.py``) and for
``luthier.jax``.
"""
