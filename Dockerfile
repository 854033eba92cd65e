# docker build -t mdtk . && docker run --gpus all --shm-size 8g -v /data:/data -v "$PWD/runs:/work/runs" mdtk train …
# Data lie in /data (MDTK_DATASETS), fetched checkpoints and ImageNet weights in /data/.cache, results in /work/runs.
# Of several processes: mdtk train --nproc 2 … ; another program: --entrypoint tensorboard.
FROM python:3.12-slim-bookworm
# OpenCV's wheel needs these two
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What pip needs to know comes first, so that a change of the code does not install torch again.
COPY pyproject.toml ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
    print('\n'.join(project['dependencies'] + project['optional-dependencies']['onnx']))" > /tmp/needs.txt \
    && pip install --no-cache-dir -r /tmp/needs.txt
COPY setup.py MANIFEST.in README.md LICENSE CHANGELOG.md CONTRIBUTING.md ./
COPY configs configs
COPY splits splits
COPY mdtk mdtk
RUN pip install --no-cache-dir --no-deps .
ENV MDTK_DATASETS=/data MDTK_CACHE=/data/.cache/mdtk HF_HOME=/data/.cache/huggingface
WORKDIR /work
ENTRYPOINT ["mdtk"]
CMD ["--help"]
