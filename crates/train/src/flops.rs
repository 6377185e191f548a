//! Arithmetic of a token, forward and backward, without recomputation.

use recon_llama::Config;

/// Parameters that a token is multiplied with; the table of embeddings, unless it is the head too, is only looked up.
pub(crate) fn multiplied(config: &Config) -> f64 {
    let table = if config.tie_word_embeddings { 0 } else { config.vocab_size * config.hidden_size };
    config.parameters() as f64 - table as f64
}

/// `6 · multiplied parameters`, and for attention `6 · L · H · hd · T`: half the pairs of a causal document of `T` tokens.
pub fn flops_per_token(config: &Config, document_tokens: f64) -> f64 {
    let attention = (6 * config.num_hidden_layers * config.query_dim()) as f64;
    6.0 * multiplied(config) + attention * document_tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_and_pairs_are_counted() {
        let config = serde_json::json!({"model_type": "llama", "hidden_size": 512, "num_hidden_layers": 8,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64, "intermediate_size": 1408,
            "vocab_size": 8192, "tie_word_embeddings": false, "rms_norm_eps": 1e-5});
        let config = Config::from_json(&config.to_string()).unwrap();
        // 8 · 512 · (1024 + 512 + 4224) + 512 · 8192 matrix elements, and 17 norms of 512.
        let matrices = 8.0 * 512.0 * 5760.0 + 512.0 * 8192.0 + 17.0 * 512.0;
        assert_eq!(flops_per_token(&config, 1024.0), 6.0 * matrices + 6.0 * 8.0 * 512.0 * 1024.0);
    }
}
