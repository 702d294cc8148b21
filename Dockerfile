# recbole-esmr serve: docker build -t esmr . ; docker run -p 8000:8000 -v "$PWD/esmr-model:/model:ro" -v esmr-data:/data esmr
FROM python:3.11-slim
RUN useradd --create-home --uid 10001 esmr && mkdir /data && chown esmr /data
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt '.[serve]' && rm -rf /source/*
USER esmr
WORKDIR /data
ENV OMP_NUM_THREADS=1
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=5)"]
# Keys of callers lie in /data/keys.txt, one a line.
CMD ["recbole-esmr", "serve", "--artifact=/model", "--store=/data/people.sqlite", "--key=/data/esmr.key", "--api_keys=/data/keys.txt", "--host=0.0.0.0"]
