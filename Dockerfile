# One image for web, workers, beat and the one-shot preparation. `docker compose up --build` builds and runs it.

FROM python:3.11-slim AS environment
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt requirements.lock ./
# The CPU build of torch is a tenth of the CUDA one. For NVIDIA GPUs: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# First what has hashes. Three stand outside the lock: torch and torchvision, of which each index has builds of its own,
# and what needs them. The last line finds whether anything is missing or does not fit.
RUN /venv/bin/pip install --require-hashes --only-binary :all: -r requirements.lock \
    && grep -E '^torch(vision)?==' requirements.txt > torch.txt \
    && /venv/bin/pip install --index-url "$TORCH_INDEX" -r torch.txt \
    && grep -E '^pytorch-metric-learning==' requirements.txt > metric.txt \
    && /venv/bin/pip install --no-deps -r metric.txt \
    && /venv/bin/pip check

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin marketplace \
    && for directory in media originals models index static cache; do \
        install -d -o marketplace -g marketplace -m 0750 /var/lib/marketplace/$directory; done \
    && chown marketplace:marketplace /var/lib/marketplace && chmod 0750 /var/lib/marketplace
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=marketplace.settings \
    VAR_DIR=/var/lib/marketplace \
    BIND=0.0.0.0:8000 \
    HEALTH_BIND=127.0.0.1:8001 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1
COPY --from=environment /venv /venv
WORKDIR /app
COPY manage.py LICENSE ./
COPY ml ml
COPY listings listings
COPY recommender recommender
COPY workers workers
COPY marketplace marketplace
USER marketplace
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=6s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8001/health/live', timeout=5)"]
CMD ["python", "-m", "gunicorn", "-c", "python:marketplace.serving.gunicorn", "marketplace.wsgi"]
