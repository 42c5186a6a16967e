"""A small Llama in plain torch, and its export to the files that transformers and vLLM load."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.family import tokenizer

HEAD_DIM: Final = 32
NORM_EPS: Final = 1e-5
ROPE_THETA: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one Llama: tied embeddings, heads of 32, no grouped queries."""

    hidden: int
    n_layers: int
    mlp: int

    @property
    def n_heads(self) -> int:
        """Number of attention heads."""
        return self.hidden // HEAD_DIM

    @property
    def n_params_non_embedding(self) -> int:
        """Parameters without the (tied) embedding table."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.mlp + 2 * self.hidden
        return self.n_layers * layer + self.hidden

    @property
    def n_params(self) -> int:
        """All parameters."""
        return tokenizer.VOCABULARY_SIZE * self.hidden + self.n_params_non_embedding


class _HalfProduct(torch.autograd.Function):
    """`x @ weight.T` with bfloat16 operands and float32 results, forward and backward.

    Products are two thirds of a float32 training step on a CPU, and 3.5 times faster this way;
    autocast would make the element-wise work slower by as much.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor) -> Tensor:
        rows, half = x.reshape(-1, x.shape[-1]).bfloat16(), weight.bfloat16()
        ctx.save_for_backward(rows, half)
        return (rows @ half.t()).float().view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        rows, half = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1]).bfloat16()
        return (flat @ half).float().view(*grad.shape[:-1], -1), (flat.t() @ rows).float()


class Linear(nn.Linear):
    """A linear map without bias: bfloat16 products in training mode, float32 otherwise."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (..., n_in)."""
        return (
            _HalfProduct.apply(x, self.weight)
            if self.training
            else functional.linear(x, self.weight)
        )


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.n_heads = shape.n_heads
        self.qkv = Linear(shape.hidden, 3 * shape.hidden)
        self.out = Linear(shape.hidden, shape.hidden)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        cache: list[Tensor] | None = None,
    ) -> Tensor:
        """Map x of shape (batch, time, hidden); `cache` holds and receives keys and values."""
        batch, time, hidden = x.shape
        qkv = self.qkv(x).view(batch, time, 3, self.n_heads, HEAD_DIM).permute(2, 0, 3, 1, 4)
        query, key = _rotate(qkv[0], rotary), _rotate(qkv[1], rotary)
        value = qkv[2]
        if cache is None:
            mixed = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, is_causal=mask is None
            )
        else:
            is_first = not cache
            cache[:] = (
                [key, value]
                if is_first
                else [torch.cat((cache[0], key), 2), torch.cat((cache[1], value), 2)]
            )
            mixed = functional.scaled_dot_product_attention(query, *cache, is_causal=is_first)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, hidden))


class Block(nn.Module):
    """One pre-norm layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_attention = nn.RMSNorm(shape.hidden, eps=NORM_EPS)
        self.attention = Attention(shape)
        self.norm_mlp = nn.RMSNorm(shape.hidden, eps=NORM_EPS)
        self.gate_up = Linear(shape.hidden, 2 * shape.mlp)
        self.down = Linear(shape.mlp, shape.hidden)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        cache: list[Tensor] | None = None,
    ) -> Tensor:
        """Map x of shape (batch, time, hidden)."""
        x = x + self.attention(self.norm_attention(x), rotary, mask, cache)
        gate, up = self.gate_up(self.norm_mlp(x)).chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * up)


class Llama(nn.Module):
    """Token ids to logits."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(tokenizer.VOCABULARY_SIZE, shape.hidden)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=NORM_EPS)
        frequencies = ROPE_THETA ** (-torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
        angles = torch.outer(torch.arange(tokenizer.MAX_POSITIONS).float(), frequencies).repeat(
            1, 2
        )
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                continue
            std = weight.shape[1] ** -0.5
            if name.endswith(("out.weight", "down.weight")):
                # Residual branches add up: keep the stream's variance near one at the start.
                std *= (2 * self.shape.n_layers) ** -0.5
            nn.init.normal_(weight, std=std, generator=generator)

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        """Logits of shape (batch, time, vocabulary).

        `segments`, of the shape of `ids`, numbers the documents packed into a row: a token sees
        only its own document. Rotary positions are relative, so documents need no reset.
        """
        mask = None if segments is None else document_mask(segments)
        x = self.embedding(ids)
        rotary = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, rotary, mask)
        x = self.norm(x)
        product = _HalfProduct.apply if self.training else functional.linear
        return product(x, self.embedding.weight)

    def extend(self, ids: Tensor, caches: list[list[Tensor]], first: int) -> Tensor:
        """Logits of the last position after `ids` at positions `first` and on; caches grow."""
        x = self.embedding(ids)
        rotary = self.cos[first : first + ids.shape[1]], self.sin[first : first + ids.shape[1]]
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, rotary, None, cache)
        return functional.linear(self.norm(x[:, -1]), self.embedding.weight)


def document_mask(segments: Tensor) -> Tensor:
    """Who sees whom: bool of shape (batch, 1, time, time), causal within a document."""
    same = segments[:, None, :, None] == segments[:, None, None, :]
    return same & torch.ones(same.shape[-2:], dtype=torch.bool, device=same.device).tril()


def _rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = (part.to(x.dtype) for part in rotary)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def _exported(model: Llama) -> dict[str, Tensor]:
    """The weights under the names of Hugging Face's Llama."""
    state = {
        "model.embed_tokens.weight": model.embedding.weight,
        "model.norm.weight": model.norm.weight,
    }
    for index, block in enumerate(model.blocks):
        prefix = f"model.layers.{index}."
        query, key, value = block.attention.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        state |= {
            f"{prefix}self_attn.q_proj.weight": query,
            f"{prefix}self_attn.k_proj.weight": key,
            f"{prefix}self_attn.v_proj.weight": value,
            f"{prefix}self_attn.o_proj.weight": block.attention.out.weight,
            f"{prefix}mlp.gate_proj.weight": gate,
            f"{prefix}mlp.up_proj.weight": up,
            f"{prefix}mlp.down_proj.weight": block.down.weight,
            f"{prefix}input_layernorm.weight": block.norm_attention.weight,
            f"{prefix}post_attention_layernorm.weight": block.norm_mlp.weight,
        }
    return state


def export(model: Llama, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write `config.json`, `model.safetensors` and the tokenizer's files."""
    shape = model.shape
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": tokenizer.VOCABULARY_SIZE,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.n_heads,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "max_position_embeddings": tokenizer.MAX_POSITIONS,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_THETA,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.PAD_ID,
        "bos_token_id": tokenizer.BOS_ID,
        "eos_token_id": tokenizer.EOS_ID,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }
    tokenizer.save(folder)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {
        name: weight.detach().to("cpu", dtype).contiguous()
        for name, weight in _exported(model).items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load(folder: Path) -> Llama:
    """Read an exported model back, in float32."""
    config = json.loads((folder / "config.json").read_text())
    shape = Shape(
        hidden=config["hidden_size"],
        n_layers=config["num_hidden_layers"],
        mlp=config["intermediate_size"],
    )
    model = Llama(shape)
    weights = load_file(folder / "model.safetensors")
    with torch.no_grad():
        for name, target in _exported(model).items():
            target.copy_(weights[name])
    return model.eval()


def shape_record(shape: Shape) -> dict[str, int]:
    """The shape as plain numbers, for tables and checkpoints."""
    return {
        **asdict(shape),
        "n_params": shape.n_params,
        "n_params_non_embedding": shape.n_params_non_embedding,
    }
