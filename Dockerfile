# The router as a container: the wheel from dist/ (`make wheel`) in a virtual environment, and nothing else.
# The wheel carries the compiled component, so that the image needs neither Node.js nor a compiler, its build takes
# seconds, and what is shipped is the very component that was tested.

FROM python:3.12-slim-bookworm AS builder
COPY dist/edgewise-*.whl /wheels/
RUN python -m venv --without-pip /opt/edgewise
RUN pip --python /opt/edgewise/bin/python install --no-cache-dir --only-binary :all: "$(ls /wheels/edgewise-*.whl)[serve]"

FROM python:3.12-slim-bookworm
COPY --from=builder /opt/edgewise /opt/edgewise
ENV PATH=/opt/edgewise/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=2s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
CMD ["edgewise", "serve", "--host", "0.0.0.0", "--port", "8080"]
