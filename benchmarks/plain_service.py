"""The few lines that a tagging service usually is: what ours is measured against.

python benchmarks/plain_service.py FOLDER PORT   (of a bundle's files)
"""

from __future__ import annotations

import sys

import faiss
import numpy as np
import pyarrow.parquet as pq
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

folder, port = sys.argv[1], int(sys.argv[2])
model = SentenceTransformer(f"{folder}/encoder", device="cpu")
model.max_seq_length = 128
vectors = load_file(f"{folder}/index/shard-00000.safetensors")["vectors"]
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
keys = pq.read_table(f"{folder}/labels.parquet")["label_key"].to_pylist()
app = FastAPI()


class Request(BaseModel):
    documents: list[str]
    top_k: int = 5


@app.post("/v1/tag")
def tag(request: Request) -> dict:
    queries = model.encode(request.documents, normalize_embeddings=True)
    scores, ids = index.search(np.asarray(queries, np.float32), request.top_k)
    results = [
        {"tags": [{"key": keys[i], "score": float(s)} for i, s in zip(row, line, strict=True)]}
        for row, line in zip(ids, scores, strict=True)
    ]
    return {"results": results}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
