//! An [`Ear`] as JSON claims, in either profile's names, and back.

use std::collections::BTreeMap;

use super::{
    Appraisal, Claim, Ear, Json, MAX_SUBMODS, MAX_TEXT_BYTES, NONCE_BYTES, Profile, RawEvidence,
    Reject, Tier, TrustVector, VerifierId,
    token::{decode, encode},
};

type Map = BTreeMap<String, Json>;

/// Names that differ between profiles.
struct Names {
    status: &'static str,
    vector: &'static str,
    policy: &'static str,
    verifier: &'static str,
    raw: &'static str,
    claims: &'static str,
}

impl Profile {
    fn names(self) -> Names {
        match self {
            Self::Ietf04 => Names {
                status: "ear_status",
                vector: "ear_trustworthiness_vector",
                policy: "ear_appraisal_policy_ids",
                verifier: "ear_verifier_id",
                raw: "ear_raw_evidence",
                claims: "ear_verifier_claims",
            },
            Self::Veraison2023 => Names {
                status: "ear.status",
                vector: "ear.trustworthiness-vector",
                policy: "ear.appraisal-policy-id",
                verifier: "ear.verifier-id",
                raw: "ear.raw-evidence",
                claims: "ear.veraison.policy-claims",
            },
        }
    }
}

/// The payload of a result.
pub(super) fn write(ear: &Ear) -> Result<Json, Reject> {
    let names = ear.profile.names();
    let mut out = Map::new();
    let mut put = |name: &str, value: Json| out.insert(name.into(), value);
    put("eat_profile", ear.profile.uri().into());
    put("iat", time("iat", ear.issued_at)?);
    if ear.issued_at == 0 {
        return Err(Reject::claim(
            "iat",
            "is zero; give the time of the judgement",
        ));
    }
    if let Some(at) = ear.not_before {
        put("nbf", time("nbf", at)?);
    }
    if let Some(at) = ear.expires {
        if at <= ear.issued_at {
            return Err(Reject::claim("exp", "is not after `iat`"));
        }
        put("exp", time("exp", at)?);
    }
    check_verifier(names.verifier, &ear.verifier)?;
    put(
        names.verifier,
        Json::Map(Map::from([
            ("developer".into(), ear.verifier.developer.as_str().into()),
            ("build".into(), ear.verifier.build.as_str().into()),
        ])),
    );
    if let Some(nonce) = &ear.nonce {
        check_nonce(nonce)?;
        put("eat_nonce", encode(nonce).into());
    }
    if let Some(raw) = &ear.raw_evidence {
        let bytes = encode(&raw.bytes);
        put(
            names.raw,
            match ear.profile {
                // A record of RATS conceptual message wrappers: type and value.
                Profile::Ietf04 => vec![raw.media_type.clone(), bytes].into(),
                Profile::Veraison2023 => bytes.into(),
            },
        );
    }
    put("submods", write_submods(ear)?);
    match (ear.profile, ear.overall) {
        (_, None) => {}
        (Profile::Ietf04, Some(status)) => {
            check_overall(ear, status)?;
            put(names.status, status.name().into());
        }
        (Profile::Veraison2023, Some(_)) => {
            return Err(Reject::claim(names.status, "has no place at the top"));
        }
    }
    Ok(Json::Map(out))
}

/// The appraisals alone.
pub(super) fn write_submods(ear: &Ear) -> Result<Json, Reject> {
    check_submods(ear.submods.len())?;
    let mut out = Map::new();
    for (name, appraisal) in &ear.submods {
        check_text("submods", name)?;
        out.insert(name.clone(), write_appraisal(ear.profile, name, appraisal)?);
    }
    Ok(Json::Map(out))
}

fn write_appraisal(profile: Profile, submod: &str, it: &Appraisal) -> Result<Json, Reject> {
    let names = profile.names();
    check_status(submod, it)?;
    let mut out = Map::from([(names.status.into(), it.status.name().into())]);
    let vector: Map = it
        .vector
        .iter()
        .map(|(name, claim)| (name.into(), Json::Integer(claim.0.into())))
        .collect();
    if !vector.is_empty() {
        out.insert(names.vector.into(), Json::Map(vector));
    }
    for id in &it.policy_ids {
        check_text(names.policy, id)?;
    }
    match (profile, it.policy_ids.as_slice()) {
        (_, []) => {}
        (Profile::Ietf04, ids) => {
            out.insert(names.policy.into(), ids.to_vec().into());
        }
        (Profile::Veraison2023, [id]) => {
            out.insert(names.policy.into(), id.as_str().into());
        }
        (Profile::Veraison2023, _) => {
            return Err(Reject::claim(names.policy, "has place for one policy only"));
        }
    }
    if !it.claims.is_empty() {
        out.insert(names.claims.into(), Json::Map(it.claims.clone()));
    }
    Ok(Json::Map(out))
}

/// Reads a payload; names claims that mean nothing here.
pub(super) fn read(payload: Json) -> Result<(Ear, Vec<String>), Reject> {
    let mut claims = Object::new("", payload)?;
    let uri = claims.text("eat_profile")?;
    let profile = Profile::ALL
        .into_iter()
        .find(|it| it.uri() == uri)
        .ok_or_else(|| Reject::Profile {
            expected: Profile::ALL
                .map(|it| format!("`{}`", it.uri()))
                .join(" or "),
            found: uri,
        })?;
    let names = profile.names();
    let issued_at = claims
        .time("iat")?
        .ok_or_else(|| Reject::claim("iat", "is missing"))?;
    let not_before = claims.time("nbf")?;
    let expires = claims.time("exp")?;
    let mut verifier = Object::new(names.verifier, claims.take(names.verifier)?)?;
    let verifier = VerifierId {
        developer: verifier.text("developer")?,
        build: verifier.text("build")?,
    };
    check_verifier(names.verifier, &verifier)?;
    let nonce = match claims.take_optional("eat_nonce") {
        None => None,
        Some(Json::Text(text)) => {
            let nonce = decode("claim `eat_nonce`", &text)?;
            check_nonce(&nonce)?;
            Some(nonce.into())
        }
        Some(other) => {
            return Err(Reject::claim(
                "eat_nonce",
                format!("is {}, expected one text", other.kind()),
            ));
        }
    };
    let raw_evidence = read_raw(profile, names.raw, claims.take_optional(names.raw))?;
    let Json::Map(submods) = claims.take("submods")? else {
        return Err(Reject::claim("submods", "is no object"));
    };
    check_submods(submods.len())?;
    let mut ignored = Vec::new();
    let submods = submods
        .into_iter()
        .map(|(name, value)| {
            check_text("submods", &name)?;
            let appraisal = read_appraisal(profile, &name, value, &mut ignored)?;
            Ok((name, appraisal))
        })
        .collect::<Result<_, Reject>>()?;
    let mut ear = Ear {
        profile,
        issued_at,
        not_before,
        expires,
        verifier,
        nonce,
        raw_evidence,
        submods,
        overall: None,
    };
    // Draft 04 has a status for the whole.
    if profile == Profile::Ietf04
        && let Some(value) = claims.take_optional(names.status)
    {
        let status = tier(names.status, &value)?;
        check_overall(&ear, status)?;
        ear.overall = Some(status);
    }
    ignored.extend(claims.rest());
    Ok((ear, ignored))
}

fn read_appraisal(
    profile: Profile,
    submod: &str,
    value: Json,
    ignored: &mut Vec<String>,
) -> Result<Appraisal, Reject> {
    let names = profile.names();
    let mut claims = Object::new(submod, value)?;
    let status = tier(names.status, &claims.take(names.status)?)?;
    let mut vector = TrustVector::default();
    let refuse = |why: String| Reject::Vector {
        submod: submod.into(),
        why,
    };
    match claims.take_optional(names.vector) {
        None => {}
        Some(Json::Map(map)) if !map.is_empty() => {
            for (name, value) in map {
                let Json::Integer(number) = value else {
                    return Err(refuse(format!(
                        "`{name}` is {}, expected an integer",
                        value.kind()
                    )));
                };
                let number = i8::try_from(number)
                    .map_err(|_| refuse(format!("`{name}` is {number}, expected -128 to 127")))?;
                if !vector.set(&name, Some(Claim(number))) {
                    return Err(refuse(format!("there is no claim `{name}`")));
                }
            }
        }
        Some(_) => return Err(refuse("it is no object with claims in it".into())),
    }
    let policy_ids = match (profile, claims.take_optional(names.policy)) {
        (_, None) => Vec::new(),
        (Profile::Veraison2023, Some(Json::Text(id))) => vec![id],
        (Profile::Ietf04, Some(Json::List(ids))) if !ids.is_empty() => ids
            .into_iter()
            .map(|id| match id {
                Json::Text(id) => Ok(id),
                other => Err(Reject::claim(
                    names.policy,
                    format!("holds {}", other.kind()),
                )),
            })
            .collect::<Result<_, _>>()?,
        (_, Some(other)) => {
            return Err(Reject::claim(names.policy, format!("is {}", other.kind())));
        }
    };
    for id in &policy_ids {
        check_text(names.policy, id)?;
    }
    let own = match claims.take_optional(names.claims) {
        None => Map::new(),
        Some(Json::Map(map)) => map,
        Some(other) => return Err(Reject::claim(names.claims, format!("is {}", other.kind()))),
    };
    let appraisal = Appraisal {
        status,
        vector,
        policy_ids,
        claims: own,
    };
    check_status(submod, &appraisal)?;
    ignored.extend(claims.rest().map(|name| format!("{submod}: {name}")));
    Ok(appraisal)
}

fn read_raw(
    profile: Profile,
    claim: &str,
    value: Option<Json>,
) -> Result<Option<RawEvidence>, Reject> {
    let (media_type, bytes) = match (profile, value) {
        (_, None) => return Ok(None),
        (Profile::Veraison2023, Some(Json::Text(bytes))) => (String::new(), bytes),
        (Profile::Ietf04, Some(Json::List(record))) => {
            // An optional third item says what role the message plays; evidence it is, by the claim it stands in.
            let mut record = record.into_iter();
            match (record.next(), record.next(), record.next(), record.next()) {
                (
                    Some(Json::Text(media_type)),
                    Some(Json::Text(bytes)),
                    None | Some(Json::Integer(_)),
                    None,
                ) => (media_type, bytes),
                _ => return Err(Reject::claim(claim, "is no record of type and value")),
            }
        }
        (_, Some(other)) => return Err(Reject::claim(claim, format!("is {}", other.kind()))),
    };
    Ok(Some(RawEvidence {
        media_type,
        bytes: decode("raw evidence", &bytes)?.into(),
    }))
}

fn tier(claim: &str, value: &Json) -> Result<Tier, Reject> {
    match value {
        Json::Text(text) => Tier::by_name(text),
        Json::Integer(number) => Tier::by_number(*number),
        _ => None,
    }
    .ok_or_else(|| {
        Reject::claim(
            claim,
            format!(
                "is {}, expected none, affirming, warning or contraindicated",
                value.to_canonical()
            ),
        )
    })
}

/// A status of none says nothing; any other must be at least as bad as the worst claim.
fn check_status(submod: &str, it: &Appraisal) -> Result<(), Reject> {
    let worst = it.vector.worst();
    if it.status != Tier::None && it.status < worst {
        return Err(Reject::Status {
            submod: submod.into(),
            status: it.status,
            worst,
        });
    }
    Ok(())
}

/// A status of the whole may be worse than the worst appraisal, not better.
fn check_overall(ear: &Ear, status: Tier) -> Result<(), Reject> {
    let worst = ear.submods.values().map(|it| it.status).max();
    match worst {
        Some(worst) if status != Tier::None && status < worst => Err(Reject::Status {
            submod: "the whole token".into(),
            status,
            worst,
        }),
        _ => Ok(()),
    }
}

fn check_submods(count: usize) -> Result<(), Reject> {
    match count {
        0 => Err(Reject::claim("submods", "is empty")),
        1..=MAX_SUBMODS => Ok(()),
        _ => Err(Reject::TooLarge {
            what: "`submods`",
            limit: MAX_SUBMODS,
            actual: count,
        }),
    }
}

fn check_nonce(nonce: &[u8]) -> Result<(), Reject> {
    if NONCE_BYTES.contains(&nonce.len()) {
        return Ok(());
    }
    Err(Reject::claim(
        "eat_nonce",
        format!("has {} bytes, expected 8 to 64", nonce.len()),
    ))
}

fn check_verifier(claim: &str, verifier: &VerifierId) -> Result<(), Reject> {
    check_text(claim, &verifier.developer)?;
    check_text(claim, &verifier.build)
}

fn check_text(claim: &str, text: &str) -> Result<(), Reject> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        return Err(Reject::claim(
            claim,
            format!(
                "has a text of {} bytes, expected 1 to {MAX_TEXT_BYTES}",
                text.len()
            ),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Reject::claim(claim, "has a text with control characters"));
    }
    Ok(())
}

fn time(claim: &str, seconds: u64) -> Result<Json, Reject> {
    i64::try_from(seconds)
        .map(Json::Integer)
        .map_err(|_| Reject::claim(claim, format!("is {seconds}, which is no time")))
}

/// An object whose members are taken out one by one.
struct Object {
    name: String,
    map: Map,
}

impl Object {
    fn new(name: &str, value: Json) -> Result<Self, Reject> {
        match value {
            Json::Map(map) => Ok(Self {
                name: name.into(),
                map,
            }),
            other if name.is_empty() => Err(Reject::Malformed(format!(
                "the payload is {}, expected an object",
                other.kind()
            ))),
            other => Err(Reject::claim(
                name,
                format!("is {}, expected an object", other.kind()),
            )),
        }
    }

    fn take_optional(&mut self, name: &str) -> Option<Json> {
        self.map.remove(name)
    }

    fn path(&self, name: &str) -> String {
        if self.name.is_empty() {
            name.into()
        } else {
            format!("{}.{name}", self.name)
        }
    }

    fn take(&mut self, name: &str) -> Result<Json, Reject> {
        self.take_optional(name)
            .ok_or_else(|| Reject::claim(&self.path(name), "is missing"))
    }

    fn text(&mut self, name: &str) -> Result<String, Reject> {
        match self.take(name)? {
            Json::Text(text) => Ok(text),
            other => Err(Reject::claim(
                &self.path(name),
                format!("is {}, expected a text", other.kind()),
            )),
        }
    }

    fn time(&mut self, name: &str) -> Result<Option<u64>, Reject> {
        match self.take_optional(name) {
            None => Ok(None),
            Some(Json::Integer(seconds)) => u64::try_from(seconds)
                .map(Some)
                .map_err(|_| Reject::claim(&self.path(name), "is negative")),
            Some(other) => Err(Reject::claim(
                &self.path(name),
                format!("is {}, expected Unix seconds", other.kind()),
            )),
        }
    }

    fn rest(self) -> impl Iterator<Item = String> {
        self.map.into_keys()
    }
}
