"""Names of pictures with skeletons."""

from label_generator.labelling import overlays


def test_an_ending_is_there_once_and_no_picture_replaces_another(tmp_path):
    names = {
        "a.jpg": ".png",
        "b.png": ".png",
        "a.jpg.png": ".png",
        "w.mp4": ".mp4",
        "V.MP4": ".mp4",
        "w.avi.mp4": ".mp4",
    }
    names["w.avi"] = ".mp4"
    drawn = []
    for name, ending in names.items():
        target = overlays._free(tmp_path / name, ending)
        assert not target.exists()
        target.touch()
        drawn.append(target.name)
    first = ["a.jpg.png", "b.png", "a.jpg.png.png", "w.mp4", "V.MP4", "w.avi.mp4"]
    assert drawn == [*first, "w.avi.mp4.mp4"]
