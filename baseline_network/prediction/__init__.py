"""What predict.py and demo.py run: pictures in, poses, files and drawings out.

May import images, network, tfrecords and tools.
"""
