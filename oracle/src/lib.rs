//! The oracle's daemon: chain watcher, probes, observation, quorum, submission, web page
