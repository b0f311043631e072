"""Multi-touch models: how one conversion's credit, and its money, is shared among its touches.

- `paths`: the touches of one conversion;
- `weights`: the built-in models, each a function from a path to weights;
- `credit`: weights as shares that sum exactly to one;
- `amounts`: shares as money that sums exactly to the revenue.

What is learnt from many paths (Markov, Shapley) is in `trackstream.analysis`. Formulas and sources:
`docs/models.md`.
"""

from trackstream.core.models.amounts import exponent, money
from trackstream.core.models.credit import WHOLE, ModelError, Weigh, apportion, credit
from trackstream.core.models.paths import ConvertedPath, PathCount, PathTouch, channel_of, path_of
from trackstream.core.models.weights import BUILT_IN

__all__ = [
    "BUILT_IN",
    "WHOLE",
    "ConvertedPath",
    "ModelError",
    "PathCount",
    "PathTouch",
    "Weigh",
    "apportion",
    "channel_of",
    "credit",
    "exponent",
    "money",
    "path_of",
]
