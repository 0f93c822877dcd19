"""How often probabilities are right, as a picture."""

from __future__ import annotations

from markupsafe import Markup

from ml.inference.calibration.reliability import Reliability

from .rendering import render_template

SIDE_PX = 260
MOST_RADIUS_PX = 9


def draw_reliability_diagram(reliability: Reliability) -> Markup:
    """An SVG: what was said to the right, what was true upwards; on the diagonal both are the same."""
    most = max(tenth.pairs for tenth in reliability.tenths)
    points = [
        (
            round(SIDE_PX * tenth.said, 1),
            round(SIDE_PX * (1 - tenth.true), 1),
            tenth,
            round(3 + (MOST_RADIUS_PX - 3) * (tenth.pairs / most) ** 0.5, 1),
        )
        for tenth in reliability.tenths
    ]
    return render_template("reliability.svg", side=SIDE_PX, points=points)
