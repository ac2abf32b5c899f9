//! Logs, page by page. Endpoints limit how many blocks or results one `eth_getLogs` may span, each in its own way and words; a page
//! that is too large is asked for again in halves.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::B256,
    providers::Provider,
    rpc::{
        client::BatchRequest,
        types::{Block, Filter, Log},
    },
};

use crate::{ChainError, Client};

/// Blocks to begin with where the filter names what is wanted: few logs match.
const BLOCKS_OF_A_NARROW_FILTER: u64 = 10_000;

/// Pages in a row that must succeed before a larger one is tried again. An endpoint with a fixed limit refuses one page in five then;
/// one that stumbled over a crowded stretch is soon read in large pages again.
const GROW_AFTER: u32 = 4;

/// How many blocks the next page may have.
#[derive(Clone, Debug)]
pub(crate) struct PageSize {
    blocks: u64,
    most: u64,
    in_a_row: u32,
}

impl PageSize {
    /// Begins with the largest page, of at least one block.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            blocks: most,
            most,
            in_a_row: 0,
        }
    }

    /// How far a page reaches beyond its first block.
    fn reach(&self) -> u64 {
        self.blocks - 1
    }

    fn succeeded(&mut self) {
        self.in_a_row += 1;
        if self.in_a_row >= GROW_AFTER {
            self.blocks = self.most.min(self.blocks * 2);
            self.in_a_row = 0;
        }
    }

    /// Halves what was refused; false if it was a single block.
    fn refused(&mut self, blocks: u64) -> bool {
        self.in_a_row = 0;
        self.blocks = (blocks / 2).max(1);
        blocks > 1
    }
}

/// The logs of some blocks, in order, and the hashes that tie them to their neighbours.
pub(crate) struct Page {
    pub(crate) logs: Vec<Log>,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Hash of the last block.
    pub(crate) last_hash: B256,
    /// Hash of the block before the first.
    pub(crate) parent_hash: B256,
}

/// From which end of a range pages are cut.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

impl Client {
    /// Every log in `from..=to` that the filter names by address and topics, in order. Its own block range is not looked at.
    ///
    /// # Errors
    /// [`ChainError`]; [`ChainError::NoSuchBlock`] if the endpoint is not at `to` yet, instead of a list that ends early.
    pub async fn logs(&self, filter: &Filter, from: u64, to: u64) -> Result<Vec<Log>, ChainError> {
        let mut backwards = self.logs_backwards(filter.clone(), from, to);
        let mut pages = Vec::new();
        while let Some(page) = backwards.next_page().await? {
            pages.push(page);
        }
        Ok(pages.into_iter().rev().flatten().collect())
    }

    /// [`Client::logs`] from the end: for callers who know when they have seen enough.
    #[must_use]
    pub fn logs_backwards(&self, filter: Filter, from: u64, to: u64) -> LogsBackwards<'_> {
        LogsBackwards {
            client: self,
            filter,
            from,
            next: (from <= to).then_some(to),
            size: PageSize::new(BLOCKS_OF_A_NARROW_FILTER),
        }
    }

    /// The first page of `from..=to`, as large as the endpoint gives it.
    pub(crate) async fn first_page(
        &self,
        filter: &Filter,
        from: u64,
        to: u64,
        size: &mut PageSize,
    ) -> Result<Page, ChainError> {
        self.page_at(End::First, filter, from, to, size).await
    }

    /// At most a handful of requests: each refusal halves the page.
    async fn page_at(
        &self,
        end: End,
        filter: &Filter,
        from: u64,
        to: u64,
        size: &mut PageSize,
    ) -> Result<Page, ChainError> {
        loop {
            let (first, last) = match end {
                End::First => (from, to.min(from.saturating_add(size.reach()))),
                End::Last => (from.max(to.saturating_sub(size.reach())), to),
            };
            match self.page(filter, first, last).await {
                Ok(page) => {
                    size.succeeded();
                    return Ok(page);
                }
                Err(error) if is_too_large(&error) && size.refused(last - first + 1) => {
                    tracing::debug!(first, last, "a smaller page is needed: {error}");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One page, of exactly these blocks.
    ///
    /// Logs and blocks are asked for in one batch, so that one endpoint answers all: an endpoint that is behind would answer the
    /// logs alone with a list that is too short and looks whole.
    async fn page(&self, filter: &Filter, from: u64, to: u64) -> Result<Page, ChainError> {
        let filter = filter.clone().from_block(from).to_block(to);
        let parent = from.saturating_sub(1);

        let unavailable = |error| ChainError::from_rpc("eth_getLogs", error);
        let mut batch = BatchRequest::new(self.rpc().provider().client());
        let block = |number: u64| (BlockNumberOrTag::Number(number), false);
        let logs = batch
            .add_call::<_, Vec<Log>>("eth_getLogs", &(&filter,))
            .map_err(unavailable)?;
        let last = batch
            .add_call::<_, Option<Block>>("eth_getBlockByNumber", &block(to))
            .map_err(unavailable)?;
        let before = batch
            .add_call::<_, Option<Block>>("eth_getBlockByNumber", &block(parent))
            .map_err(unavailable)?;
        batch.send().await.map_err(unavailable)?;

        let no_block = |number: u64| ChainError::NoSuchBlock {
            block: number.to_string(),
        };
        let last = last
            .await
            .map_err(unavailable)?
            .ok_or_else(|| no_block(to))?;
        let before = before
            .await
            .map_err(unavailable)?
            .ok_or_else(|| no_block(parent))?;
        let mut logs = logs.await.map_err(unavailable)?;
        if let Some(outside) = logs.iter().find(|log| {
            !log.block_number
                .is_some_and(|block| (from..=to).contains(&block))
        }) {
            return Err(ChainError::Undecodable {
                what: "eth_getLogs".to_owned(),
                why: format!(
                    "asked for blocks {from} to {to}, got one of block {:?}",
                    outside.block_number
                ),
            });
        }
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(Page {
            logs,
            from,
            to,
            last_hash: last.header.hash,
            parent_hash: before.header.hash,
        })
    }
}

/// The pages of [`Client::logs_backwards`].
#[derive(Debug)]
pub struct LogsBackwards<'a> {
    client: &'a Client,
    filter: Filter,
    from: u64,
    /// Last block not yet read; `None` once all are.
    next: Option<u64>,
    size: PageSize,
}

impl LogsBackwards<'_> {
    /// The logs of the blocks before those of the last call, in order among themselves; possibly none. `None` at the end.
    ///
    /// # Errors
    /// As [`Client::logs`]; the same call tries again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Log>>, ChainError> {
        let Some(to) = self.next else {
            return Ok(None);
        };
        let page = self
            .client
            .page_at(End::Last, &self.filter, self.from, to, &mut self.size)
            .await?;
        self.next = page
            .from
            .checked_sub(1)
            .filter(|before| *before >= self.from);
        Ok(Some(page.logs))
    }
}

/// Whether a smaller page may be answered where this one was not.
fn is_too_large(error: &ChainError) -> bool {
    /// EIP-1474: limit exceeded. Some endpoints say no more than that.
    const LIMIT_EXCEEDED: i64 = -32_005;
    match error {
        ChainError::Refused { code, message, .. } => {
            limits_size(message) || (*code == LIMIT_EXCEEDED && !limits_rate(message))
        }
        // Some put it into an HTTP error.
        ChainError::Unavailable { why, .. } => why.contains("HTTP error 413") || limits_size(why),
        _ => false,
    }
}

/// Whether an endpoint says that a query spans too many blocks or results. There is no code for it, only words; these are those of
/// geth, Erigon, Nethermind, Besu, Reth and the larger public services.
pub(crate) fn limits_size(message: &str) -> bool {
    const WORDS: [&str; 15] = [
        "query returned more than",
        "more than the allowed",
        "too many results",
        "too many logs",
        "too many blocks",
        "max results",
        "maximum results",
        "block range",
        "max range",
        "range too large",
        "range is too",
        "range limit",
        "range exceeds",
        "response size",
        "response is too big",
    ];
    /// Words about a range that no smaller one would help: the endpoint is behind.
    const BEHIND: [&str; 2] = ["invalid block range", "beyond current head"];
    let message = message.to_lowercase();
    WORDS.iter().any(|words| message.contains(words))
        && !BEHIND.iter().any(|words| message.contains(words))
}

fn limits_rate(message: &str) -> bool {
    const WORDS: [&str; 5] = [
        "rate",
        "per second",
        "too many requests",
        "requests limit",
        "request limit",
    ];
    let message = message.to_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    fn refused(code: i64, message: &str) -> ChainError {
        ChainError::Refused {
            what: "eth_getLogs".to_owned(),
            code,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_size_limit_is_known_by_its_words_and_a_rate_limit_is_none() {
        for (code, message) in [
            (-32_005, "query returned more than 10000 results"),
            (-32_005, "limit exceeded"),
            (-32_602, "exceed maximum block range: 5000"),
            (
                -32_602,
                "query exceeds max results 20000, retry with the range 1-9",
            ),
            (
                -32_000,
                "requested too many blocks from 0 to 9999, maximum is set to 2048",
            ),
            (
                -32_600,
                "ranges over 10000 blocks: eth_getLogs block range is too large",
            ),
            (-32_000, "Requested range exceeds maximum RPC range limit"),
            (
                -32_000,
                "Too many logs requested. Max logs per response is 20000.",
            ),
            (-32_008, "Response is too big"),
            (-32_602, "Log response size exceeded."),
        ] {
            assert!(is_too_large(&refused(code, message)), "{message}");
        }
        for (code, message) in [
            (-32_005, "rate limit exceeded"),
            (-32_005, "daily request limit reached"),
            (-32_000, "block range extends beyond current head block"),
            (-32_000, "invalid block range params"),
            (
                -32_602,
                "BlockOutOfRangeError: block height is 5 but requested was 10",
            ),
            (-32_000, "header not found"),
        ] {
            assert!(!is_too_large(&refused(code, message)), "{message}");
        }
        let http = |why: &str| ChainError::Unavailable {
            what: "eth_getLogs".to_owned(),
            why: why.to_owned(),
        };
        assert!(is_too_large(&http(
            "HTTP error 400 with body: up to a 2K block range"
        )));
        assert!(is_too_large(&http("HTTP error 413 with empty body")));
        assert!(!is_too_large(&http("did not answer within 10 s")));
    }

    #[test]
    fn pages_halve_down_to_one_block_and_grow_again_to_the_first_size() {
        let mut size = PageSize::new(1_000);
        let mut halvings = 0;
        while size.refused(size.reach() + 1) {
            halvings += 1;
        }
        assert_eq!((halvings, size.reach()), (9, 0));
        for _ in 0..100 {
            size.succeeded();
        }
        assert_eq!(size.reach(), 999);
    }

    #[test]
    fn a_short_page_that_is_refused_halves_what_was_asked_and_not_the_size() {
        let mut size = PageSize::new(1_000);
        assert!(size.refused(10));
        assert_eq!(size.reach(), 4);
    }
}
