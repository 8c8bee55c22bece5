"""A long run: 100,000 rows and their labels, with bounded memory and disk."""

from __future__ import annotations

import json

from monitoring.conftest import CLASSES, Model, monitor, write_config

N_ROWS = 100_000
A_REQUEST = 200
# Evidently keeps memory of the first computations. Growth after them is bounded by this; a leak of
# 1 KiB a row would be twice as much.
MOST_GROWTH_BYTES = 48 * 1024**2
# Mostly rows that wait for labels.
MOST_STATE_BYTES = 32 * 1024**2


def test_a_hundred_thousand_rows_do_not_grow_memory_and_disk(tmp_path):
    config = write_config(
        tmp_path,
        Model().reference(1000),
        list(CLASSES),
        window_size=200,
        min_reference_size=200,
        moving_reference=True,
        calculation_period_sec=0.5,
        monitors=["data_drift", "cat_target_drift", "prob_classification_performance"],
    )
    model, memory = Model(seed=1), []
    with monitor(config) as running:
        running.wait_computed()
        for start in range(0, N_ROWS, A_REQUEST):
            ids = [f"r{n}" for n in range(start, start + A_REQUEST)]
            answer = running.post("/iterate", {"data": model.rows(A_REQUEST), "ids": ids})
            assert answer.status == 200
            if start % (10 * A_REQUEST) == 0:
                feedback = [{"id": row_id, "label": CLASSES[0]} for row_id in ids[::2]]
                unknown = [{"id": f"u{start}-{n}", "label": CLASSES[1]} for n in range(A_REQUEST)]
                body = json.dumps({"feedback": feedback + unknown}).encode()
                assert running.post("/feedback", body).status == 200
            if start % (N_ROWS // 20) == 0:
                running.wait_computed()
                memory.append(running.metrics()["process_resident_memory_bytes"])
        metrics = running.wait_computed()
        memory.append(metrics["process_resident_memory_bytes"])
    assert metrics["rows_received_total"] == N_ROWS
    assert metrics["window_rows"] == 200
    assert metrics["reference_rows"] == 1000
    assert metrics["labelled_rows"] == 200
    state = sum(path.stat().st_size for path in (tmp_path / "state").iterdir())
    assert state < MOST_STATE_BYTES
    settled = memory[len(memory) // 4]
    assert memory[-1] - settled < MOST_GROWTH_BYTES, [round(m / 1024**2) for m in memory]
    print([round(m / 1024**2) for m in memory], round(state / 1024**2))
