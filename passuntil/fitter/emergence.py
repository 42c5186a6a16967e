"""Does the task bend upwards as models grow? A test against a family of unlike straight lines.

A mean over instances of straight lines with unlike slopes is itself concave in F, so a test of
the dataset's F against one line calls nearly every family "accelerated". Here every instance has
its own line, and what is tested is a bend they share:

    F[s](x) = a[s] - alpha[s] (1 - exp(-kappa z)) / kappa,    kappa = 0: straight,
    kappa < 0: slopes grow with size (accelerated), kappa > 0: they fade (sub-scaling).

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262, Definition 1, Theorems 2 and 3.
.. [2] Hurvich & Tsai 1989, Biometrika 76 (AICc).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from passuntil.estimator.intervals import check_level
from passuntil.estimator.posterior import draw_posterior, weighted_quantile
from passuntil.fitter.family import Family, Tallies, as_family
from passuntil.fitter.hyperparameters import START, STEP
from passuntil.fitter.instance import InstanceFit, fit_instances
from passuntil.fitter.observations import observe
from passuntil.fitter.pairing import build_hierarchy

__all__ = ["EmergenceResult", "ShapeFit", "emergence"]

Floats = NDArray[np.float64]
LEAST_SIZES = 5
"""Fewer sizes leave the bend and the models' scatter on each other's account."""
LEAST_FOR_SHAPES = 6
TELLING = 0.2
"""A bend of this size (slopes change by 20 % per unit of log N) is worth telling apart from 0."""


@dataclass(frozen=True, slots=True)
class ShapeFit:
    """One shape of F(x) fitted to the dataset's PU.

    Attributes
    ----------
    name : str
        "line", "product of two" (convex), "max of two" and "soft max of two" (concave).
    n_parameters : int
        With the models' scatter.
    aicc : float
        Smaller is better; infinite with too few sizes.
    loo_score : float or None
        Mean leave-one-out squared error of F; None with too few sizes.

    Examples
    --------
    >>> shapes = (ShapeFit("line", 3, 12.0, 0.02), ShapeFit("max of two", 5, 4.0, 0.01))
    >>> min(shapes, key=lambda shape: shape.aicc).name
    'max of two'
    """

    name: str
    n_parameters: int
    aicc: float
    loo_score: float | None


@dataclass(frozen=True, slots=True)
class EmergenceResult:
    """What the test of curvature says.

    Attributes
    ----------
    verdict : str
        "linear", "sub-scaling", "accelerated" or "not enough data".
    bend, low, high : float or None
        kappa per unit of log N with its interval; None where it was not estimated.
    log_bayes_factor : float or None
        Log evidence of a bend against straight lines.
    confidence_level : float
        Of interval and verdict.
    shapes : tuple of ShapeFit
        Shapes compared on the mean, best AICc first; empty with fewer than 6 sizes.
    n_sizes : int
    words : str
        The verdict for a person.

    Examples
    --------
    >>> import numpy as np
    >>> from passuntil import fit_scaling_law
    >>> from passuntil.estimator import TallyArray
    >>> sizes, spread = np.array([36e6, 109e6, 241e6, 499e6, 892e6]), np.linspace(-1, 1, 9)
    >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(sizes)[:, None]))
    >>> passes = np.rint(10_000 * rates).astype(int)  # (n_models, n_instances)
    >>> tallies = [TallyArray.fixed(passes=row, trials=10_000) for row in passes]
    >>> from passuntil.fitter import emergence
    >>> found = emergence(n_params=sizes, tallies=tallies)
    >>> found.verdict, found.low < 0 < found.high, found.shapes
    ('linear', True, ())
    """

    verdict: str
    bend: float | None
    low: float | None
    high: float | None
    log_bayes_factor: float | None
    confidence_level: float
    shapes: tuple[ShapeFit, ...]
    n_sizes: int
    words: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values; None for an infinite AICc.

        Examples
        --------
        >>> found = EmergenceResult("linear", 0.02, -0.1, 0.14, -1.0, 0.95, (), 5, "No bend.")
        >>> found.to_json()["verdict"]
        'linear'
        """
        out = asdict(self)
        for shape in out["shapes"]:
            shape["aicc"] = shape["aicc"] if np.isfinite(shape["aicc"]) else None
        return out


def emergence(
    *, n_params: ArrayLike, tallies: Tallies, confidence_level: float = 0.95
) -> EmergenceResult:
    """Test whether instances share a bend of F = log(-log p) along log N.

    Parameters
    ----------
    n_params, tallies
        As in `fit_scaling_law`; training compute may stand for the sizes. The same instances
        under every model.
    confidence_level : float
        Of the interval of the bend; the verdict is "linear" where it holds 0.

    Returns
    -------
    EmergenceResult

    Raises
    ------
    EstimationError
        No passes, unlike instances, or an exact rate of 0.

    Notes
    -----
    F[s](x) = a[s] - alpha[s] (1 - exp(-kappa z))/kappa [1]_, z = log N from its mean: kappa is
    shared and the lines are not, since a mean over unlike straight lines bends by itself. Shapes
    of the mean, that bow taken out, are compared by
    AICc = -2 log L + 2 k + 2 k (k + 1)/(n - k - 1) [2]_.

    References
    ----------
    .. [1] Hu et al. 2023, arXiv 2310.03262, Definition 1, Theorems 2 and 3.
    .. [2] Hurvich & Tsai 1989, Biometrika 76.

    Examples
    --------
    >>> from passuntil.records import Tally
    >>> sizes = [36e6, 109e6, 241e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=1000)] for c in (2, 7, 15)]
    >>> emergence(n_params=sizes, tallies=tallies).verdict
    'not enough data'

    Five sizes, twelve instances, and slopes that grow with size:

    >>> from passuntil.estimator import TallyArray
    >>> sizes, spread = np.geomspace(1e7, 1e10, 5), np.linspace(-1, 1, 12)
    >>> x = np.log(sizes / 1e7)[:, None]
    >>> rates = np.exp(-np.exp(2 + 0.3 * spread - 0.02 * x**2))
    >>> passes = np.rint(5000 * rates).astype(int)
    >>> tallies = [TallyArray.fixed(passes=row, trials=5000) for row in passes]
    >>> found = emergence(n_params=sizes, tallies=tallies)
    >>> found.verdict, found.high < 0
    ('accelerated', True)
    """
    level = check_level(confidence_level)
    family = as_family(n_params, tallies)
    measured = observe(family).has_peak
    n_sizes = len(np.unique(family.n_params[measured]))
    if n_sizes < LEAST_SIZES:
        words = (
            f"{n_sizes} sizes with passes: too few to tell a bend from the scatter of training "
            f"runs; measure at least {LEAST_SIZES}, better 6 or more."
        )
        return EmergenceResult("not enough data", None, None, None, None, level, (), n_sizes, words)
    hierarchy, _, _ = build_hierarchy(family, "signed")
    draws = draw_posterior(
        hierarchy.log_density, np.append(START, 0.0), step=np.append(STEP, 0.1), n_draws=256
    )
    kappa = draws.points[:, 7]
    tail = (1 - level) / 2
    bend, low, high = (weighted_quantile(kappa, draws.weights, q) for q in (0.5, tail, 1 - tail))
    straight = fit_instances(family)
    verdict, words = _verdict(bend, low, high, level)
    shapes = _compare_shapes(family, straight) if n_sizes >= LEAST_FOR_SHAPES else ()
    if shapes:
        words += f" Best shape by AICc: {shapes[0].name}."
    else:
        words += f" {n_sizes} sizes do not separate shapes; measure 6 or more."
    factor = draws.log_evidence - straight.draws.log_evidence
    factor -= float(0.5 * np.log(2 * np.pi * 0.25**2))  # the prior of kappa, normalised
    return EmergenceResult(verdict, bend, low, high, factor, level, shapes, n_sizes, words)


def _verdict(bend: float, low: float, high: float, level: float) -> tuple[str, str]:
    said = f"bend {bend:+.2f} per unit of log size, {level:.0%} interval [{low:+.2f}, {high:+.2f}]"
    if high < 0:
        return "accelerated", f"Progress speeds up with size: {said}."
    if low > 0:
        return "sub-scaling", f"Progress slows with size: {said}."
    if low < -TELLING and high > TELLING:
        return "not enough data", f"The data allow a strong bend either way: {said}."
    return "linear", f"No bend beyond a family of straight lines: {said}."


def _compare_shapes(family: Family, straight: InstanceFit) -> tuple[ShapeFit, ...]:
    """Compare shapes on the mean's F, after taking out the bend of unlike straight lines."""
    observations = observe(family)
    ok = observations.has_peak
    x = np.log(family.n_params[ok])
    expected = np.array([straight.mixture(float(n)).mean for n in family.n_params[ok]])
    bow = expected - np.polyval(np.polyfit(x, expected, 1), x)
    f, sd = observations.hazards[ok] - bow, observations.hazard_sds[ok]
    z = (x - x.mean()) / x.std()
    out = []
    for name, n_shape in (
        ("line", 2),
        ("product of two", 4),
        ("max of two", 4),
        ("soft max of two", 5),
    ):
        n_parameters = n_shape + 1
        n = len(z)
        value, whole = _best_log_likelihood(name, z, f, sd)
        room = n - n_parameters - 1
        penalty = 2 * n_parameters * (n_parameters + 1) / room if room > 0 else np.inf
        loo = _leave_one_out(name, z, f, sd, whole) if n - 1 > n_shape else None
        out.append(ShapeFit(name, n_parameters, -2 * value + 2 * n_parameters + penalty, loo))
    return tuple(sorted(out, key=lambda s: s.aicc))


def _shape(name: str, theta: Floats, z: Floats) -> Floats:
    first = theta[0] - theta[1] * z
    if name == "line":
        return np.asarray(first, float)
    second = theta[2] - theta[3] * z
    if name == "product of two":
        return np.asarray(np.logaddexp(first, second), float)
    if name == "max of two":
        return np.asarray(np.minimum(first, second), float)
    sharp = np.exp(np.clip(theta[4], -1, 5))
    return np.asarray(-logsumexp([-sharp * first, -sharp * second], axis=0) / sharp, float)


def _starts(name: str, z: Floats, f: Floats) -> list[Floats]:
    slope, level = np.polyfit(z, f, 1)
    if name == "line":
        return [np.array([level, -slope, np.log(0.05)])]
    starts = []
    for kink in (-0.7, 0.0, 0.7):
        steep, flat = (-slope * 0.4, -slope * 1.6), (-slope * 1.6, -slope * 0.4)
        a1, a2 = steep if name == "product of two" else flat
        base = level + slope * kink
        shift = np.log(2) if name == "product of two" else 0.0
        point = [base + a1 * kink - shift, a1, base + a2 * kink - shift, a2]
        point += [1.5] if name.startswith("soft") else []
        starts.append(np.array([*point, np.log(0.05)]))
    return starts


def _best_log_likelihood(
    name: str, z: Floats, f: Floats, sd: Floats, *, starts: list[Floats] | None = None
) -> tuple[float, Floats]:
    """Maximise the normal likelihood with model scatter, from several starts."""

    def negative(theta: Floats) -> float:
        variance = sd**2 + np.exp(2 * np.clip(theta[-1], -7, 1))
        residual = f - _shape(name, theta[:-1], z)
        return float(0.5 * (residual**2 / variance + np.log(2 * np.pi * variance)).sum())

    best: tuple[float, Floats] = (-np.inf, z)
    for start in starts or _starts(name, z, f):
        found = minimize(negative, start, method="L-BFGS-B", options={"maxiter": 80})
        if -found.fun > best[0] and np.isfinite(found.fun):
            best = (-float(found.fun), np.asarray(found.x, float))
    return best


def _leave_one_out(name: str, z: Floats, f: Floats, sd: Floats, whole: Floats) -> float:
    """Return the mean squared error of F at each left-out size, starting from the whole fit."""
    errors = []
    for i in range(len(z)):
        keep = np.arange(len(z)) != i
        theta = _best_log_likelihood(name, z[keep], f[keep], sd[keep], starts=[whole])[1]
        errors.append(float((_shape(name, theta[:-1], z[i : i + 1])[0] - f[i]) ** 2))
    return float(np.mean(errors))
