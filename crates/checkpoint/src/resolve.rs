//! From a name to the files of a model: a local directory, a hub id, or an embedded model.
//!
//! A hub id is `owner/name`, with `@revision` where not `main`. Only the configuration, the
//! tokenizer and the weights are downloaded, into the cache every Hugging Face tool shares.
//! `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME` and `HF_TOKEN` are honoured.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};
use recon_schema::Sha256;
use recon_schema::file::hash_file;

use crate::header::Bytes;
use crate::hf::{INDEX, Index, SINGLE};
use crate::nano::NANO;
use crate::{Error, HfTensors, Result};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// Name of the model inside the program.
const EMBEDDED: &str = "nano";
/// Files a model may have besides configuration, tokenizer and weights. Newer tokenizers keep the chat template in a
/// file of its own.
pub const COMPANIONS: [&str; 4] =
    ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja"];

/// A model compiled into the program.
#[derive(Debug)]
pub struct EmbeddedModel {
    /// `config.json`.
    pub config_json: &'static str,
    /// `tokenizer.json`.
    pub tokenizer_json: &'static [u8],
    /// Other files by name: `tokenizer_config.json`, `special_tokens_map.json`, `generation_config.json`.
    pub companions: &'static [(&'static str, &'static [u8])],
    /// `model.safetensors`.
    pub safetensors: &'static [u8],
}

/// Where the files of a model are.
#[derive(Debug, Clone)]
pub enum ModelFiles {
    /// A directory in Hugging Face layout.
    Directory(PathBuf),
    /// A model compiled into the program.
    Embedded(&'static EmbeddedModel),
}

impl ModelFiles {
    /// The text of `config.json`.
    pub fn config_json(&self) -> Result<String> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(CONFIG);
                std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })
            }
            Self::Embedded(model) => Ok(model.config_json.into()),
        }
    }

    /// The bytes of `tokenizer.json`.
    pub fn tokenizer_json(&self) -> Result<Vec<u8>> {
        match self {
            Self::Directory(directory) => read(&directory.join(TOKENIZER)),
            Self::Embedded(model) => Ok(model.tokenizer_json.into()),
        }
    }

    /// The bytes of `tokenizer_config.json`, where there is one.
    pub fn tokenizer_config_json(&self) -> Result<Option<Vec<u8>>> {
        self.optional("tokenizer_config.json")
    }

    fn optional(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                if path.exists() { read(&path).map(Some) } else { Ok(None) }
            }
            Self::Embedded(model) => {
                Ok(model.companions.iter().find(|(found, _)| *found == name).map(|(_, bytes)| bytes.to_vec()))
            }
        }
    }

    /// The files beside configuration, tokenizer and weights, those of them that there are.
    pub fn companions(&self) -> Result<Vec<(String, Vec<u8>)>> {
        match self {
            Self::Directory(directory) => {
                let there = COMPANIONS.iter().filter(|name| directory.join(name).exists());
                there.map(|name| Ok((name.to_string(), read(&directory.join(name))?))).collect()
            }
            Self::Embedded(model) => {
                Ok(model.companions.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect())
            }
        }
    }

    /// Opens the tensors.
    ///
    /// # Errors
    /// As [`HfTensors::open`], and [`Error::TwoHeads`] where `config.json` ties the output
    /// projection to the embedding table and another one is stored: programs disagree about which
    /// of the two is the model.
    pub fn tensors(&self) -> Result<HfTensors> {
        const HEAD: &str = "lm_head.weight";
        const TABLE: &str = "model.embed_tokens.weight";
        let tensors = match self {
            Self::Directory(directory) => HfTensors::open(directory)?,
            Self::Embedded(model) => HfTensors::single(Bytes::Static(SINGLE, model.safetensors))?,
        };
        // A configuration that is no JSON is refused by whoever reads it.
        let config: Option<serde_json::Value> = serde_json::from_str(&self.config_json()?).ok();
        if config.is_some_and(|config| config["tie_word_embeddings"] == true) && tensors.differ(HEAD, TABLE)? {
            return Err(Error::TwoHeads { head: HEAD, table: TABLE, path: tensors.source().into() });
        }
        Ok(tensors)
    }

    /// The text of `chat_template.jinja`, where the template has a file of its own.
    pub fn chat_template(&self) -> Result<Option<String>> {
        let bytes = self.optional("chat_template.jinja")?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The bytes of `generation_config.json`, where there is one.
    pub fn generation_config_json(&self) -> Result<Option<Vec<u8>>> {
        self.optional("generation_config.json")
    }

    /// The name shown for this model where none was given: the directory's, or `nano`.
    pub fn name(&self) -> String {
        match self {
            Self::Directory(directory) => directory.display().to_string(),
            Self::Embedded(_) => EMBEDDED.into(),
        }
    }

    /// Digest over configuration, tokenizer, chat template, end ids and weights; reads every byte
    /// of them.
    pub fn sha256(&self) -> Result<Sha256> {
        let mut fields = vec![self.config_json()?.into_bytes(), self.tokenizer_json()?];
        fields.push(self.tokenizer_config_json()?.unwrap_or_default());
        fields.push(self.generation_config_json()?.unwrap_or_default());
        fields.push(self.chat_template()?.unwrap_or_default().into_bytes());
        match self {
            Self::Directory(directory) => {
                for file in weight_files(directory)? {
                    fields.push(hash_file(&directory.join(file))?.sha256.to_string().into_bytes());
                }
            }
            Self::Embedded(model) => fields.push(Sha256::of(model.safetensors).to_string().into_bytes()),
        }
        Ok(Sha256::of_fields(fields.iter().map(Vec::as_slice)))
    }
}

fn weight_files(directory: &Path) -> Result<Vec<String>> {
    if directory.join(SINGLE).exists() {
        return Ok(vec![SINGLE.into()]);
    }
    let path = directory.join(INDEX);
    let index = Index::parse(&path, &read(&path)?)?;
    Ok(index.shards().into_iter().map(Into::into).collect())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

/// The files of the model `name`: `nano`, a local directory, or a hub id.
///
/// # Errors
/// [`Error::Unresolved`] says what was tried; [`Error::Download`] names the file.
pub fn resolve(name: &str) -> Result<ModelFiles> {
    Hub::from_env().resolve(name)
}

/// As [`resolve`], without asking the hub for anything: `None` for a hub id that is not complete in the cache.
///
/// # Errors
/// [`Error::Unresolved`] for what is neither a directory nor a hub id.
pub fn resolve_at_hand(name: &str) -> Result<Option<ModelFiles>> {
    let hub = Hub::from_env();
    let is_local = name == EMBEDDED || Path::new(name).exists();
    match HubId::parse(name) {
        Ok(id) if !is_local => {
            let cache = hub.cache.map_or_else(hf_hub::Cache::default, hf_hub::Cache::new);
            let repo = Repo::with_revision(id.repository, RepoType::Model, id.revision);
            Ok(cached(&cache.repo(repo)).map(ModelFiles::Directory))
        }
        _ => hub.resolve(name).map(Some),
    }
}

/// A model hub and the local cache before it.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Address without a trailing slash.
    pub endpoint: String,
    /// Cache in the layout of `huggingface_hub`; its own default where `None`.
    pub cache: Option<PathBuf>,
    /// Access token; the one stored beside the cache where `None`.
    pub token: Option<String>,
}

impl Hub {
    /// What `HF_ENDPOINT`, `HF_HUB_CACHE` (else `HF_HOME`) and `HF_TOKEN` say.
    pub fn from_env() -> Self {
        let set = |key: &str| std::env::var(key).ok().filter(|value| !value.trim().is_empty());
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()),
            cache: cache(set),
            token: set("HF_TOKEN").map(|token| token.trim().into()),
        }
    }

    /// The files of the model `name`; a directory wins over a hub id.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn resolve(&self, name: &str) -> Result<ModelFiles> {
        let unresolved = |tried: Vec<String>| Error::Unresolved { name: name.into(), tried };
        if name == EMBEDDED {
            return Ok(ModelFiles::Embedded(&NANO));
        }
        let directory = Path::new(name);
        if directory.is_dir() {
            if directory.join(CONFIG).is_file() {
                return Ok(ModelFiles::Directory(directory.into()));
            }
            return Err(unresolved(vec![format!("it is a directory, but without `{CONFIG}`")]));
        }
        if directory.extension().is_some_and(|end| end == "gguf") {
            let why = "a GGUF file is not read here; make a directory of it with transformers' `gguf_file`, \
                       as scripts/models/smollm2 does";
            return Err(unresolved(vec![why.into()]));
        }
        let not_local = if directory.exists() { "it is a file, not a directory" } else { "there is no such directory" };
        match HubId::parse(name) {
            Ok(id) => self.download(name, &id).map(ModelFiles::Directory),
            Err(why) => Err(unresolved(vec![not_local.into(), format!("it is not a hub id: {why}")])),
        }
    }

    fn download(&self, name: &str, id: &HubId) -> Result<PathBuf> {
        let failed = |file: &str, source| Error::Download {
            name: name.into(),
            file: file.into(),
            endpoint: self.endpoint.clone(),
            source: Box::new(source),
        };
        let cache = self.cache.clone().map_or_else(hf_hub::Cache::default, hf_hub::Cache::new);
        let identity = Repo::with_revision(id.repository.clone(), RepoType::Model, id.revision.clone());
        if let Some(directory) = cached(&cache.repo(identity.clone())) {
            tracing::debug!(model = name, directory = %directory.display(), "complete in the cache");
            return Ok(directory);
        }
        tracing::info!(model = name, endpoint = self.endpoint, "downloading what the cache lacks");
        let repo = self.repo(cache, identity).map_err(|source| failed(CONFIG, source))?;
        let get = |file: &str| {
            tracing::debug!(model = name, file, "fetching");
            repo.get(file)
        };
        let config = get(CONFIG).map_err(|source| failed(CONFIG, source))?;
        get(TOKENIZER).map_err(|source| failed(TOKENIZER, source))?;
        for file in COMPANIONS {
            optional(get(file)).map_err(|source| failed(file, source))?;
        }
        if optional(get(SINGLE)).map_err(|source| failed(SINGLE, source))?.is_none() {
            let path = get(INDEX).map_err(|source| failed(INDEX, source))?;
            for shard in Index::parse(&path, &read(&path)?)?.shards() {
                get(shard).map_err(|source| failed(shard, source))?;
            }
        }
        Ok(config.parent().expect("a cached file lies in its snapshot directory").into())
    }

    fn repo(&self, cache: hf_hub::Cache, identity: Repo) -> Result<ApiRepo, ApiError> {
        let mut builder = ApiBuilder::from_cache(cache)
            .with_endpoint(self.endpoint.trim_end_matches('/').into())
            .with_progress(false)
            .with_retries(3);
        if self.token.is_some() {
            builder = builder.with_token(self.token.clone());
        }
        Ok(builder.build()?.repo(identity))
    }
}

/// The snapshot of a model whose files are all in the cache: nodes without a network can use it.
///
/// The weights are downloaded last, so where they are complete the optional files are too.
fn cached(repo: &hf_hub::CacheRepo) -> Option<PathBuf> {
    let config = repo.get(CONFIG)?;
    repo.get(TOKENIZER)?;
    if repo.get(SINGLE).is_none() {
        let path = repo.get(INDEX)?;
        let index = Index::parse(&path, &read(&path).ok()?).ok()?;
        index.shards().into_iter().try_for_each(|shard| repo.get(shard).map(drop))?;
    }
    config.parent().map(Into::into)
}

/// The cache the environment names, the folder itself before the home it lies in by default.
fn cache(set: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE"));
    folder.map(PathBuf::from).or_else(|| Some(Path::new(&set("HF_HOME")?).join("hub")))
}

/// A file the repository does not have is no failure; anything else is.
fn optional(result: Result<PathBuf, ApiError>) -> Result<Option<PathBuf>, ApiError> {
    match result {
        Ok(path) => Ok(Some(path)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_not_found(error: &ApiError) -> bool {
    // The client does not re-export the error of the HTTP library inside; its text is what there is.
    matches!(error, ApiError::RequestError(_)) && error.to_string().ends_with("http status: 404")
}

/// `owner/name[@revision]`.
#[derive(Debug, PartialEq, Eq)]
struct HubId {
    repository: String,
    revision: String,
}

impl HubId {
    fn parse(name: &str) -> Result<Self, &'static str> {
        let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
        let Some((owner, model)) = repository.split_once('/') else {
            return Err("it has no `owner/name`");
        };
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if !plain(owner) || !plain(model) {
            return Err("owner and name are letters, digits, `-`, `_` and `.`");
        }
        if !revision.split('/').all(plain) {
            return Err("the revision after `@` is not a branch, tag or commit");
        }
        Ok(Self { repository: repository.into(), revision: revision.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_folder_named_before_the_home() {
        let among = |variables: &[(&str, &str)]| {
            cache(|key| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string()))
        };
        assert_eq!(among(&[]), None);
        assert_eq!(among(&[("HF_HOME", "/home")]), Some("/home/hub".into()));
        assert_eq!(among(&[("HF_HOME", "/home"), ("HF_HUB_CACHE", "/cache")]), Some("/cache".into()));
        assert_eq!(among(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/home")]), Some("/old".into()));
    }

    #[test]
    fn hub_ids_are_told_from_paths() {
        let id = HubId::parse("meta-llama/Llama-3.2-1B@refs/pr/7").unwrap();
        assert_eq!((id.repository.as_str(), id.revision.as_str()), ("meta-llama/Llama-3.2-1B", "refs/pr/7"));
        assert_eq!(HubId::parse("a/b").unwrap().revision, "main");
        for bad in ["llama", "/a", "a/", "../a", "a/b/c", "a/b@", "a/b@../..", "./models/x", "a b/c"] {
            assert!(HubId::parse(bad).is_err(), "{bad}");
        }
    }
}
