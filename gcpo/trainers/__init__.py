"""One file per method. `METHODS` maps a method's id in tables to its configuration and trainer."""

from gcpo.trainers.drgrpo import DrGRPOConfig, DrGRPOTrainer
from gcpo.trainers.gcpo import GCPOConfig, GCPOTrainer
from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer
from gcpo.trainers.gvpo import GVPOConfig, GVPOTrainer

METHODS: dict[str, tuple[type[PaperGRPOConfig], type[PaperGRPOTrainer]]] = {
    "grpo": (PaperGRPOConfig, PaperGRPOTrainer),
    "drgrpo": (DrGRPOConfig, DrGRPOTrainer),
    "gvpo": (GVPOConfig, GVPOTrainer),
    "gcpo": (GCPOConfig, GCPOTrainer),
}
