# 3D labels for human poses, on a CPU. Not built in this project's tests; ./demo.sh is what its container runs.
#
#     docker build -t pose3d .
#     docker run --rm -v "$PWD/demo_output:/app/demo_output" pose3d
#     docker run --rm -v "$PWD:/data" pose3d python label_generator/generate.py --input=/data/photos --output=/data/labels
FROM python:3.11-slim-bookworm

WORKDIR /app
COPY . .
# setup_environment makes /app/.venv as demo.sh does on any machine, with OpenCV's build that needs no libGL.
RUN PIP_NO_CACHE_DIR=1 bash -c '. tools/setup_environment.sh; setup_environment' && \
    useradd --create-home --uid 1000 pose3d && mkdir -p demo_output && chown 1000 demo_output
ENV PATH=/app/.venv/bin:$PATH
USER 1000
CMD ["./demo.sh"]
