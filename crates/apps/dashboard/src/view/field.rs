//! Forms, their fields, and what is wrong with them.

use super::component::{Tone, note};
use crate::form::Faults;
use maud::{Markup, html};

/// The name of the field that shows that a form came from a page of ours.
pub(crate) const TOKEN_FIELD: &str = "form_token";

/// A form that changes something.
pub(crate) fn form(action: &str, token: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name=(TOKEN_FIELD) value=(token);
            (content)
        }
    }
}

/// A button that is a form of its own.
pub(crate) fn button(action: &str, token: &str, class: &str, text: &str) -> Markup {
    form(
        action,
        token,
        &html! { button type="submit" class=(class) { (text) } },
    )
}

/// The same, with something hidden sent along.
pub(crate) fn button_with(
    action: &str,
    token: &str,
    class: &str,
    text: &str,
    hidden: &[(&str, &str)],
) -> Markup {
    let content = html! {
        @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
        button type="submit" class=(class) { (text) }
    };
    form(action, token, &content)
}

/// A form that only asks. `unfiltered` is the address of the list without a filter, where it has some.
pub(crate) fn get_form(
    action: &str,
    label: &str,
    unfiltered: Option<&str>,
    content: &Markup,
) -> Markup {
    html! {
        form.filters method="get" action=(action) role="search" aria-label=(label) {
            (content)
            button type="submit" { "Filter" }
            @if let Some(address) = unfiltered { a.button.plain href={ (action) (address) } { "Clear" } }
        }
    }
}

/// How a field is filled in.
pub(crate) enum Control<'a> {
    Text {
        kind: &'static str,
        placeholder: &'a str,
    },
    Lines {
        rows: u8,
        placeholder: &'a str,
    },
    /// Value and words of each option.
    Choice(Vec<(String, String)>),
}

/// A field with its label, a hint, and what is wrong with it.
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) hint: Markup,
    pub(crate) control: Control<'a>,
    pub(crate) value: &'a str,
    pub(crate) is_required: bool,
}

impl<'a> Field<'a> {
    pub(crate) fn text(name: &'a str, label: &'a str, value: &'a str) -> Self {
        Self {
            name,
            label,
            hint: html! {},
            control: Control::Text {
                kind: "text",
                placeholder: "",
            },
            value,
            is_required: false,
        }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: Markup) -> Self {
        self.hint = hint;
        self
    }

    #[must_use]
    pub(crate) fn control(mut self, control: Control<'a>) -> Self {
        self.control = control;
        self
    }

    #[must_use]
    pub(crate) fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    pub(crate) fn show(&self, faults: &Faults) -> Markup {
        let id = format!("field-{}", self.name);
        let (hint_id, fault_id) = (format!("{id}-hint"), format!("{id}-fault"));
        let problems: Vec<_> = faults.of(self.name).collect();
        let is_invalid = (!problems.is_empty()).then_some("true");
        let has_hint = !self.hint.0.is_empty();
        let described_by: Vec<_> = [
            has_hint.then_some(hint_id.as_str()),
            is_invalid.map(|_| fault_id.as_str()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let described_by = (!described_by.is_empty()).then(|| described_by.join(" "));
        html! {
            div.field {
                label for=(id) { (self.label) }
                @match &self.control {
                    Control::Text { kind, placeholder } => {
                        input #(id) type=(kind) name=(self.name) value=(self.value) placeholder=(placeholder) required[self.is_required]
                            autocomplete="off" spellcheck="false" aria-invalid=[is_invalid] aria-describedby=[described_by];
                    }
                    Control::Lines { rows, placeholder } => {
                        textarea #(id) name=(self.name) rows=(rows) placeholder=(placeholder) required[self.is_required]
                            spellcheck="false" aria-invalid=[is_invalid] aria-describedby=[described_by] { "\n" (self.value) }
                    }
                    Control::Choice(options) => {
                        select #(id) name=(self.name) aria-invalid=[is_invalid] aria-describedby=[described_by] {
                            @for (value, words) in options {
                                option value=(value) selected[value == self.value] { (words) }
                            }
                        }
                    }
                }
                @if has_hint { p.hint #(hint_id) { (self.hint) } }
                @if is_invalid.is_some() {
                    div #(fault_id) { @for problem in problems { p.fault { (problem) } } }
                }
            }
        }
    }
}

/// A field of a filter.
pub(crate) fn filter<'a>(
    name: &'a str,
    label: &'a str,
    value: &'a str,
    control: Control<'a>,
) -> Markup {
    Field::text(name, label, value)
        .control(control)
        .show(&Faults::default())
}

/// All faults of a form, at its top: also those of members that have no field.
pub(crate) fn fault_summary(faults: &Faults) -> Markup {
    if faults.is_empty() {
        return html! {};
    }
    let content = html! {
        strong { "Nothing was changed: look at what is marked." }
        ul {
            @for fault in faults.iter() {
                li { @if !fault.member.is_empty() { code { (fault.member) } ": " } (fault.problem) }
            }
        }
    };
    note(Tone::Bad, "alert", &content)
}
