"""Exact fused attention for both encoders, through torch's scaled_dot_product_attention.

SAM adds r_h[q, key row] + r_w[q, key column] to the scores. With q' = [s q | r_h | r_w] and k' = [k | e_row | e_column],
where e is one-hot, the product q' . k' is the score itself, so nothing of size queries x keys is ever made. TinyViT's
biases are a table of 49 or 196 positions: small enough for a mask.
"""
import torch
import torch.nn.functional as F


def decomposed(module, get_rel_pos):
    """A forward for segment_anything's Attention."""
    def forward(x):
        b, h, w, _ = x.shape
        q, k, v = module.qkv(x).reshape(b, h * w, 3, module.num_heads, -1).permute(2, 0, 3, 1, 4)  # [b, heads, N, d]
        grid = q.unflatten(2, (h, w))
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, get_rel_pos(h, h, module.rel_pos_h)).flatten(2, 3)
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, get_rel_pos(w, w, module.rel_pos_w)).flatten(2, 3)
        row, column = torch.eye(h, dtype=k.dtype), torch.eye(w, dtype=k.dtype)
        places = torch.cat([row.repeat_interleave(w, 0), column.repeat(h, 1)], 1).expand(b, module.num_heads, -1, -1)
        wide_q = torch.cat([q * module.scale, rows, columns], -1)
        wide_k = torch.cat([k, places], -1)
        wide_v = F.pad(v, (0, h + w))
        y = F.scaled_dot_product_attention(wide_q, wide_k, wide_v, scale=1.0)[..., : v.shape[-1]]
        return module.proj(y.transpose(1, 2).reshape(b, h, w, -1))
    return forward


def table(module):
    """A forward for TinyViT's Attention."""
    def forward(x):
        b, n, _ = x.shape
        q, k, v = module.qkv(module.norm(x)).view(b, n, module.num_heads, -1).split(
            [module.key_dim, module.key_dim, module.d], dim=3)
        bias = module.attention_biases[:, module.attention_bias_idxs].expand(b, -1, -1, -1)
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias, scale=module.scale)
        return module.proj(y.transpose(1, 2).reshape(b, n, module.dh))
    return forward


def fuse(encoder, attentions):
    """Replaces the forward of every attention of an encoder."""
    for _, module in attentions:
        if hasattr(module, "attention_biases"):
            module.forward = table(module)
        else:
            from segment_anything.modeling.image_encoder import get_rel_pos
            module.forward = decomposed(module, get_rel_pos)
