"""The rasteriser against a loop over pixels and triangles."""

import numpy as np
import pytest

from tfrecords.rendering import mesh as render_mesh
from tfrecords.rendering.rasterizer import rasterise

SIZE = 24


def edge(p, q, x, y):
    return (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])


def nearest_by_loop(points, depth, faces, x, y):
    """(inverse depth, face) of the nearest triangle that has (x, y) well inside, and whether an edge is close by."""
    best, unsure = (0.0, -1), False
    for number, (i, j, k) in enumerate(faces):
        whole = edge(points[i], points[j], *points[k])
        if whole >= 0:  # seen anticlockwise means negative where y runs down
            continue
        sides = [(points[q], points[r]) for q, r in ((j, k), (k, i), (i, j))]
        weights = [edge(p, q, x, y) / whole for p, q in sides]
        unsure |= min(abs(edge(p, q, x, y)) / np.linalg.norm(q - p) for p, q in sides) < 0.005  # px from the edge
        if min(weights) >= 0:
            inverse = sum(w / depth[n] for w, n in zip(weights, (i, j, k)))
            best = max(best, (inverse, number))
    return best, unsure


@pytest.mark.parametrize("seed", range(6))
def test_each_pixel_shows_the_nearest_triangle(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-6, SIZE + 6, (30, 2))
    depth = rng.uniform(500, 3000, 30)
    faces = rng.permutation(30).reshape(10, 3)
    raster = rasterise(points, depth, faces, SIZE, SIZE)
    shown = dict(zip(raster.pixel.tolist(), raster.face.tolist()))
    compared = 0
    for y in range(SIZE):
        for x in range(SIZE):
            (inverse, face), unsure = nearest_by_loop(points, depth, faces, x, y)
            if unsure:
                continue
            compared += 1
            assert shown.get(y * SIZE + x, -1) == face
            assert raster.inverse_depth[y * SIZE + x] == pytest.approx(inverse, rel=1e-4)
    assert compared > 0.9 * SIZE * SIZE


def test_weights_lead_back_to_the_pixel():
    rng = np.random.default_rng(3)
    points, faces = rng.uniform(0, SIZE, (60, 2)), np.arange(60).reshape(20, 3)
    raster = rasterise(points, np.full(60, 1000.0), faces, SIZE, SIZE)
    places = (raster.weights[:, :, None] * points[faces[raster.face]]).sum(1)
    pixels = np.stack([raster.pixel % SIZE, raster.pixel // SIZE], -1)
    assert len(pixels) > 50
    assert np.abs(places - pixels).max() < 0.02


def test_neighbours_leave_no_gap():
    steps = np.linspace(1.3, 20.7, 9)
    x, y = np.meshgrid(steps, steps)
    points = np.stack([x.ravel(), y.ravel()], -1) + np.random.default_rng(0).normal(0, 0.3, (81, 2))
    index = np.arange(81).reshape(9, 9)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    raster = rasterise(points, np.full(81, 900.0), faces, SIZE, SIZE)
    assert (raster.inverse_depth.reshape(SIZE, SIZE)[3:19, 3:19] > 0).all()


def test_what_faces_away_or_lies_behind_the_camera_is_left_out():
    points = np.array([[2.0, 2.0], [2.0, 20.0], [20.0, 2.0]])
    towards, away = np.array([[0, 1, 2]]), np.array([[0, 2, 1]])
    assert len(rasterise(points, np.full(3, 800.0), towards, SIZE, SIZE).pixel) > 100
    assert len(rasterise(points, np.full(3, 800.0), away, SIZE, SIZE).pixel) == 0
    assert len(rasterise(points, np.array([800.0, 800.0, -5.0]), towards, SIZE, SIZE).pixel) == 0


def test_a_blob_is_closed_and_looks_outwards():
    spec = (np.array([0.0, 0, 0]), np.array([0.0, 0, 300]), np.array([1.0, 0, 0]), 60.0, 80.0, 40.0, 50.0, 2.0)
    mesh = render_mesh.assemble([render_mesh.blobs([spec], 9, 12)], [np.zeros((1, 9))])
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = corners.mean(1) - [0, 0, 150]
    area = np.linalg.norm(face_normal, axis=-1)
    assert ((face_normal * outwards).sum(-1)[area > 1] > 0).all()
    assert ((mesh.normals[mesh.faces].mean(1) * face_normal).sum(-1)[area > 1] > 0).all()
    # the divergence theorem: what a closed surface encloses; here about a cone frustum's rounded relative
    volume = (corners[:, 0] * face_normal).sum() / 6
    assert 0.5 * np.pi * 50 * 65 * 300 < volume < np.pi * 60 * 80 * 300


def test_a_box_has_its_sides_where_it_was_told():
    mesh = render_mesh.cuboid(np.array([-100.0, -200, 0]), np.array([100.0, 200, 500]), np.pi / 2)
    assert np.allclose(mesh.vertices.min(0), [-200, -100, 0], atol=1e-3)
    assert np.allclose(mesh.vertices.max(0), [200, 100, 500], atol=1e-3)
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((face_normal * mesh.normals[mesh.faces[:, 0]]).sum(-1) > 0).all()
    assert (corners[:, 0] * face_normal).sum() / 6 == pytest.approx(200 * 400 * 500, rel=1e-5)
