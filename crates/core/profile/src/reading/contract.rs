//! What a profile says for one kind of destination.

use super::{
    signature,
    source::{Member, Section, Source},
};
use crate::{
    BodyForm, DestinationKind,
    body::Filter,
    header::{Template, check_name},
    profile::Contract,
};
use ringback_domain::{DeliveryRules, OnUnknownOutcome, RetryPolicy, StatusSet, limits};
use ringback_signing::SignatureScheme;
use std::time::Duration;

/// Members of a contract; at the top of the text they hold for both kinds.
pub(super) const MEMBERS: [&str; 12] = [
    "body",
    "body_form",
    "headers",
    "diagnostic_headers",
    "signature",
    "secret_required",
    "success",
    "refused_for_good",
    "gone_disables",
    "time_limit",
    "on_unknown",
    "retry",
];

/// What a destination that says nothing else is given.
const TIME_LIMIT_DEFAULT: Duration = Duration::from_secs(30);

/// Where a contract's members are looked up: its own section, and what both kinds share.
struct Lookup<'t> {
    own: Option<Section<'t>>,
    shared: Section<'t>,
}

impl<'t> Lookup<'t> {
    fn get(&self, name: &str) -> Option<Member<'t>> {
        let own = self.own.as_ref().and_then(|own| own.get(name));
        own.or_else(|| self.shared.get(name))
    }

    /// The member, or a fault that says what to write.
    fn required(&self, source: &mut Source<'_>, name: &str, hint: &str) -> Option<Member<'t>> {
        match (self.get(name), &self.own) {
            (Some(member), _) => Some(member),
            (None, Some(own)) => own.required(source, name, hint),
            (None, None) => self.shared.required(source, name, hint),
        }
    }
}

/// Reads a contract; nothing when one of its faults leaves a gap.
pub(super) fn read(
    source: &mut Source<'_>,
    top: &Section<'_>,
    kind: DestinationKind,
) -> Option<Contract> {
    let own = match top.get(kind.as_str()) {
        Some(member) => Some(member.section(source)?),
        None => None,
    };
    if let Some(own) = &own {
        own.expect_only(source, &MEMBERS);
    }
    let lookup = Lookup {
        own,
        shared: top.clone(),
    };

    let hint = "write a filter that makes the body of the event, such as `'{id, type, data}'`";
    let body = lookup
        .required(source, "body", hint)
        .and_then(|member| filter(source, &member));
    let forms = [
        ("as-given", BodyForm::AsGiven),
        ("ecmascript-fixed-point", BodyForm::EcmascriptFixedPoint),
    ];
    let body_form = lookup
        .get("body_form")
        .and_then(|member| member.word(source, &forms));
    let hint = "write a table, or `signature = \"none\"` to send unsigned";
    let signature = lookup
        .required(source, "signature", hint)
        .and_then(|member| {
            if member.is_text("none") {
                Some(None)
            } else {
                signature::read(source, &member).map(Some)
            }
        });
    let secret_required = lookup.get("secret_required").and_then(|member| {
        let is_required = member.flag(source)?;
        if is_required && matches!(signature, Some(None)) {
            member.fault(
                source,
                "nothing is signed, so that no secret is of use; leave it out",
            );
        }
        Some(is_required)
    });
    let headers = lookup.get("headers");
    let headers = headers
        .map(|member| headers_of(source, &member, signature.as_ref().and_then(Option::as_ref)));
    let diagnostics = lookup
        .get("diagnostic_headers")
        .and_then(|member| member.flag(source));
    let rules = rules(source, &lookup);
    Some(Contract {
        body: body?,
        body_form: body_form.unwrap_or_default(),
        headers: headers.unwrap_or_default(),
        signature: signature?,
        requires_secret: secret_required.unwrap_or(false),
        rules: rules?,
        sends_diagnostics: diagnostics.unwrap_or(true),
    })
}

fn filter(source: &mut Source<'_>, member: &Member<'_>) -> Option<Filter> {
    let text = member.text(source)?;
    match Filter::compile(text) {
        Ok(filter) => Some(filter),
        Err(faults) => {
            for fault in faults {
                source.fault_in_text(member, text, fault.offset, fault.problem);
            }
            None
        }
    }
}

fn headers_of(
    source: &mut Source<'_>,
    member: &Member<'_>,
    signature: Option<&SignatureScheme>,
) -> Vec<(String, Template)> {
    let mut headers: Vec<(String, Template)> = Vec::new();
    let Some(section) = member.section(source) else {
        return headers;
    };
    for (name, start, member) in section.members() {
        if let Err(problem) = check_name(name) {
            source.fault_at(start, &member.path, problem);
        } else if headers
            .iter()
            .any(|(taken, _)| taken.eq_ignore_ascii_case(name))
        {
            source.fault_at(
                start,
                &member.path,
                "the header is there twice; names are equal in any case",
            );
        } else if signature.is_some_and(|signature| signature.header().eq_ignore_ascii_case(name)) {
            source.fault_at(
                start,
                &member.path,
                "the signature has this header; choose another",
            );
        }
        let Some(text) = member.text(source) else {
            continue;
        };
        match Template::parse(text) {
            Ok(template) => headers.push((name.to_owned(), template)),
            Err(problem) => member.fault(source, problem),
        }
    }
    headers
}

fn rules(source: &mut Source<'_>, lookup: &Lookup<'_>) -> Option<DeliveryRules> {
    let success = match lookup.get("success") {
        Some(member) => {
            let set = statuses(source, &member);
            if set.as_ref().is_some_and(StatusSet::is_empty) {
                member.fault(
                    source,
                    "names no status, so nothing would ever count as delivered; write `[\"2xx\"]`",
                );
            }
            set
        }
        None => Some(StatusSet::try_from_texts(["2xx"]).expect("a class")),
    };
    let refused_for_good = match lookup.get("refused_for_good") {
        Some(member) => statuses(source, &member),
        None => Some(StatusSet::default()),
    };
    let gone_disables = lookup
        .get("gone_disables")
        .and_then(|member| member.flag(source));
    let time_limit = match lookup.get("time_limit") {
        Some(member) => time_limit(source, &member),
        None => Some(TIME_LIMIT_DEFAULT),
    };
    let choices = [
        ("resend", OnUnknownOutcome::Resend),
        ("dead-letter", OnUnknownOutcome::DeadLetter),
    ];
    let on_unknown = lookup
        .get("on_unknown")
        .and_then(|member| member.word(source, &choices));
    let hint = "write a table, or `retry = \"none\"` to try once";
    let retry = lookup
        .required(source, "retry", hint)
        .and_then(|member| retry(source, &member));
    Some(DeliveryRules {
        success: success?,
        refused_for_good: refused_for_good?,
        gone_disables: gone_disables.unwrap_or(false),
        time_limit: time_limit?,
        retry: retry?,
        on_unknown: on_unknown.unwrap_or_default(),
    })
}

fn statuses(source: &mut Source<'_>, member: &Member<'_>) -> Option<StatusSet> {
    let items = member.items(source)?;
    let texts: Vec<_> = items
        .iter()
        .filter_map(|item| Some((item, item.text(source)?)))
        .collect();
    let mut all_read = texts.len() == items.len();
    for (item, text) in &texts {
        if let Err(refused) = StatusSet::try_from_texts([*text]) {
            item.fault(source, refused);
            all_read = false;
        }
    }
    let set = StatusSet::try_from_texts(texts.iter().map(|(_, text)| *text)).ok();
    set.filter(|_| all_read)
}

fn time_limit(source: &mut Source<'_>, member: &Member<'_>) -> Option<Duration> {
    let limit = member.duration(source)?;
    let most = limits::TIME_LIMIT_MAX;
    if limit < Duration::from_secs(1) || limit > most {
        member.fault(
            source,
            format!("{limit:?} is out of range; allowed: 1s to {most:?}"),
        );
        return None;
    }
    Some(limit)
}

fn retry(source: &mut Source<'_>, member: &Member<'_>) -> Option<RetryPolicy> {
    if member.is_text("none") {
        return Some(
            RetryPolicy::try_new(Vec::new(), 0.0, false).expect("no wait is out of range"),
        );
    }
    let section = member.section(source)?;
    section.expect_only(
        source,
        &[
            "delays",
            "first",
            "factor",
            "max",
            "retries",
            "jitter",
            "honours_retry_after",
        ],
    );
    let jitter = section.get("jitter").map_or(Some(0.0), |member| {
        let share = member.number(source)?;
        let checked = RetryPolicy::try_new(Vec::new(), share, false);
        checked
            .map_err(|refused| member.fault(source, refused))
            .ok()?;
        Some(share)
    });
    let honours = section
        .get("honours_retry_after")
        .and_then(|member| member.flag(source));
    let delays = match section.get("delays") {
        Some(list) => {
            for name in ["first", "factor", "max", "retries"] {
                if let Some(beside) = section.get(name) {
                    beside.fault(
                        source,
                        "belongs to an exponential schedule; write it or `delays`, not both",
                    );
                }
            }
            listed(source, &list)
        }
        None => exponential(source, &section),
    };
    RetryPolicy::try_new(delays?, jitter?, honours.unwrap_or(true))
        .map_err(|refused| member.fault(source, refused))
        .ok()
}

fn listed(source: &mut Source<'_>, list: &Member<'_>) -> Option<Vec<Duration>> {
    let items = list.items(source)?;
    let read = items.iter().map(|item| {
        let delay = item.duration(source)?;
        match RetryPolicy::try_new(vec![delay], 0.0, false) {
            Ok(_) => Some(delay),
            Err(refused) => {
                item.fault(source, refused);
                None
            }
        }
    });
    // Not collected into an `Option` at once: that would stop at the first fault.
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

/// The schedule `first`, `first × factor`, … of `retries` waits, none longer than `max`.
fn exponential(source: &mut Source<'_>, section: &Section<'_>) -> Option<Vec<Duration>> {
    if ["first", "factor", "max", "retries"]
        .iter()
        .all(|name| section.get(name).is_none())
    {
        let hint = "is missing; write `delays = [\"1m\", \"5m\"]`, or `first`, `factor`, `max` and `retries`";
        source.fault_at(section.span().start, &section.path_of("delays"), hint);
        return None;
    }
    let first = section.required(source, "first", "write the first wait, such as `\"1m\"`");
    let first = first.and_then(|member| member.duration(source));
    let factor = section.required(
        source,
        "factor",
        "write what each wait is multiplied by, such as `2`",
    );
    let factor = factor.and_then(|member| {
        let factor = member.number(source)?;
        if factor < 1.0 {
            member.fault(
                source,
                format!("{factor} would make the waits shorter; allowed: 1 and more"),
            );
            return None;
        }
        Some(factor)
    });
    let max = section.required(source, "max", "write the longest wait, such as `\"6h\"`");
    let max = max.and_then(|member| member.duration(source));
    let retries = section.required(source, "retries", "write how many, such as `8`");
    let retries = retries.and_then(|member| {
        let count = member.number(source)?;
        let most = limits::ATTEMPTS_MAX - 1;
        let found = (1..=most).find(|retries| f64::from(*retries).total_cmp(&count).is_eq());
        if found.is_none() {
            member.fault(
                source,
                format!("{count} retries are out of range; allowed: 1 to {most}"),
            );
        }
        found
    });
    Some(RetryPolicy::exponential(first?, factor?, max?, retries?))
}
