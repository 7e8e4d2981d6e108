"""Folds: every row is asked once, and never by those who know it."""

import numpy as np

from edgewise_classifier.folds import split


def test_every_row_is_in_one_fold_and_known_to_all_others():
    rows = np.array([3, 1, 4, 15, 9, 2, 6])
    folds = list(split(rows, 3, seed=1))
    assert sorted(np.concatenate([asked for _, asked in folds])) == sorted(rows)
    for known, asked in folds:
        assert sorted(np.concatenate([known, asked])) == sorted(rows)
        assert len(asked) in (2, 3)
