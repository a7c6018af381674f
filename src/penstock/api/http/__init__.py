"""REST: FastAPI on uvicorn."""
