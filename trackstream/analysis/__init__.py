"""What is learnt from many paths: which channels bring conversions.

- `paths`, `path_file`: journeys by channel, counted; and the file that holds them;
- `heuristics`: the models of `trackstream.core.models` over all of them;
- `chain`, `absorption`, `markov`: removal effects of a Markov chain;
- `exposures`, `lattice`, `sampling`, `shapley`: Shapley values of conversion rates;
- `results`: what each gives; `fitting`: the models by name; `own_models`: those of entry points.

`chain` to `shapley` need numpy and scipy, the extra `models`: `fitting` imports them when asked.
Definitions and sources: `docs/models.md`.
"""
