"""The shipped weights tell smiles from other faces: a fixed part of data they were not trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from social_perception.core.config import DetectionConfig, SmileConfig
from social_perception.core.types import Box, ImageArray, Smile
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.still import detect_in_still
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.research.evaluation.audit.changes import mask, rotation
from social_perception.research.training.labels import is_held_out

TARGET_AUC = 0.96


@pytest.fixture(scope="module")
def scorer() -> StreamingScorer:
    return make_scorer(SmileConfig(device="cpu"))


def by_hash(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The same ``count`` rows on every machine."""
    order = [hashlib.sha1(name.encode()).hexdigest() for name in table["name"]]
    return table.iloc[np.argsort(order)[:count]]


def decoded(data: bytes) -> ImageArray:
    return np.ascontiguousarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1])


def largest_faces(table: pd.DataFrame) -> tuple[ImageArray, np.ndarray]:
    """Crops of the largest face of each image, (N, 96, 96, 3), and which rows they are of."""
    detector = make_detector(DetectionConfig(min_face_px=75, device="cpu"))
    crops, rows = [], []
    for row, data in enumerate(table["image"]):
        image = decoded(data)
        faces = detect_in_still(detector, image)
        if faces:
            crops.append(crop_faces(image, [max(faces, key=lambda face: face.box.area).box])[0])
            rows.append(row)
    return np.stack(crops), np.array(rows)


def auc_of(scorer: StreamingScorer, table: pd.DataFrame, smile: np.ndarray) -> float:
    crops, rows = largest_faces(table)
    assert len(rows) > 0.95 * len(table)
    return float(roc_auc_score(smile[rows], [answer.intensity for answer in scorer.score_still(crops)]))


def test_happy_against_neutral_faces(shared: Path, scorer: StreamingScorer) -> None:
    table = pd.read_parquet(shared / "data" / "ferplus_test.parquet")
    winner = table.drop(columns=["name", "image"]).idxmax(axis=1)
    table = by_hash(table[winner.isin(["happiness", "neutral"])], 250)
    assert auc_of(scorer, table, winner[table.index].eq("happiness").to_numpy()) >= TARGET_AUC


def test_smiles_in_held_out_colour_images(shared: Path, scorer: StreamingScorer) -> None:
    table = pd.read_parquet(shared / "data" / "genki_train.parquet")
    table = table[[is_held_out(name) for name in table["name"]]]
    assert 300 < len(table) < 450
    table = by_hash(table, 150)
    assert auc_of(scorer, table, table["smile"].to_numpy()) >= TARGET_AUC


def smiles_of_changed(
    shared: Path, scorer: StreamingScorer, change: Callable[[ImageArray, Box], ImageArray]
) -> tuple[Smile, ...]:
    """Score 100 held-out colour images, each changed where its face is."""
    table = pd.read_parquet(shared / "data" / "genki_train.parquet")
    table = by_hash(table[[is_held_out(name) for name in table["name"]]], 100)
    detector = make_detector(DetectionConfig(min_face_px=80))
    crops = []
    for image in map(decoded, table["image"]):
        faces = detect_in_still(detector, image)
        if faces:
            box = max(faces, key=lambda face: face.box.area).box
            crops.append(crop_faces(change(image, box), [box])[0])
    return scorer.score_still(np.stack(crops))


def test_smiles_behind_a_mask_are_not_valid(shared: Path, scorer: StreamingScorer) -> None:
    rng = np.random.default_rng(0)
    plain = smiles_of_changed(shared, scorer, lambda image, box: image)
    masked = smiles_of_changed(shared, scorer, lambda image, box: mask(image, box, 0.45, rng))
    assert np.mean([smile.valid for smile in plain]) > 0.95
    assert np.mean([smile.valid for smile in masked]) < 0.1


@pytest.mark.parametrize("roll_deg", [-45, 30])
def test_the_roll_of_a_face_hardly_matters(shared: Path, scorer: StreamingScorer, roll_deg: int) -> None:
    rng = np.random.default_rng(0)
    upright = smiles_of_changed(shared, scorer, lambda image, box: image)
    rolled = smiles_of_changed(shared, scorer, lambda image, box: rotation(image, box, roll_deg, rng))
    moved = [abs(one.intensity - other.intensity) for one, other in zip(upright, rolled)]
    assert np.mean(moved) < 0.05
