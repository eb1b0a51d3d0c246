# The command and the library without ROS:
#
#   docker build -f docker/library.Dockerfile -t social_perception .
#   docker run --rm -v "$PWD:/data" social_perception annotate meeting.mp4
FROM python:3.12-slim-bookworm

WORKDIR /build
# torch for the CPU, a tenth of the size; for an NVIDIA GPU: --build-arg PIP_EXTRA_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY setup.py setup.cfg pyproject.toml package.xml README.md LICENSE NOTICE ./
COPY msg msg
COPY social_perception social_perception
# hadolint ignore=DL3013
RUN pip install --no-cache-dir '.[parquet,ros]' \
  && rm -rf /build/*

RUN useradd --create-home --uid 1000 --groups video people
USER 1000
WORKDIR /data
ENTRYPOINT ["social-perception"]
CMD ["--help"]
