//! Derives `metrics_gateway_sdk::settings::JsonSchema`.
//!
//! In: a struct with named fields, or an enum of words. Out: an implementation that appends ready-made text: a library that
//! builds schemas when they are asked for would double the size of a plugin. It heeds what serde's derive heeds of
//! `default`, `deny_unknown_fields`, `rename`, `rename_all` and `skip`, and takes descriptions from documentation comments.
//! What else serde can be told about the form of a value is refused: a schema that is wrong is worse than none.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitStr, Result};

/// Derives `metrics_gateway_sdk::settings::JsonSchema` for a struct with named fields or an enum of words.
#[proc_macro_derive(JsonSchema, attributes(serde))]
pub fn derive_json_schema(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    implementation(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn implementation(input: &DeriveInput) -> Result<TokenStream> {
    let said = Said::by(&input.attrs)?;
    let members = match &input.data {
        Data::Struct(data) => object(&said, &data.fields)?,
        Data::Enum(data) => words(&said, data)?,
        Data::Union(_) => return Err(Error::new_spanned(input, "settings cannot be a union")),
    };
    let name = &input.ident;
    let (generics, parameters, bounds) = input.generics.split_for_impl();
    let description = said.description.unwrap_or_default();
    Ok(quote! {
        impl #generics ::metrics_gateway_sdk::settings::JsonSchema for #name #parameters #bounds {
            const DESCRIPTION: &'static str = #description;

            fn write_members(out: &mut ::std::string::String) {
                #members
            }
        }
    })
}

/// `"type":"object","properties":{..},"required":[..],"additionalProperties":false`.
fn object(said: &Said, fields: &Fields) -> Result<TokenStream> {
    let Fields::Named(fields) = fields else {
        return Err(Error::new_spanned(fields, "settings need fields with names"));
    };
    let mut parts = Text::new("\"type\":\"object\",\"properties\":{");
    let mut required = Vec::new();
    let mut separator = "";
    for field in &fields.named {
        let own = Said::by(&field.attrs)?;
        if own.is_skipped {
            continue;
        }
        let ident = field.ident.as_ref().expect("the field is a named one");
        let name = own.rename.unwrap_or_else(|| said.rename_all.field(ident.to_string().trim_start_matches("r#")));
        let description = own.description.map(|text| format!("\"description\":{},", json(&text))).unwrap_or_default();
        parts.literal(&format!("{separator}{}:{{{description}", json(&name)));
        let kind = &field.ty;
        parts.code(quote! { <#kind as ::metrics_gateway_sdk::settings::JsonSchema>::write_members(out); });
        parts.literal("}");
        separator = ",";
        if !said.has_default && !own.has_default && !is_option(kind) {
            required.push(json(&name));
        }
    }
    parts.literal("}");
    if !required.is_empty() {
        parts.literal(&format!(",\"required\":[{}]", required.join(",")));
    }
    if said.denies_unknown {
        parts.literal(",\"additionalProperties\":false");
    }
    Ok(parts.tokens())
}

/// `"type":"string","oneOf":[{"const":"..","description":".."},..]`.
fn words(said: &Said, data: &syn::DataEnum) -> Result<TokenStream> {
    let mut words = Vec::new();
    for variant in &data.variants {
        let own = Said::by(&variant.attrs)?;
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "only words without values have a derived schema"));
        }
        if !own.is_skipped {
            let word = own.rename.unwrap_or_else(|| said.rename_all.variant(&variant.ident.to_string()));
            let description =
                own.description.map(|text| format!(",\"description\":{}", json(&text))).unwrap_or_default();
            words.push(format!("{{\"const\":{}{description}}}", json(&word)));
        }
    }
    Ok(Text::new(&format!("\"type\":\"string\",\"oneOf\":[{}]", words.join(","))).tokens())
}

/// Statements that append to a text: literals as long as nothing comes between them, and code.
struct Text {
    pending: String,
    statements: TokenStream,
}

impl Text {
    fn new(literal: &str) -> Self {
        Self { pending: literal.to_owned(), statements: TokenStream::new() }
    }

    fn literal(&mut self, literal: &str) {
        self.pending.push_str(literal);
    }

    fn code(&mut self, code: TokenStream) {
        self.flush();
        self.statements.extend(code);
    }

    fn flush(&mut self) {
        let literal = std::mem::take(&mut self.pending);
        if !literal.is_empty() {
            self.statements.extend(quote! { out.push_str(#literal); });
        }
    }

    fn tokens(mut self) -> TokenStream {
        self.flush();
        self.statements
    }
}

/// What attributes say about a type, a field or a variant.
#[derive(Default)]
struct Said {
    description: Option<String>,
    rename: Option<String>,
    rename_all: Case,
    has_default: bool,
    denies_unknown: bool,
    is_skipped: bool,
}

impl Said {
    fn by(attributes: &[Attribute]) -> Result<Self> {
        let mut said = Self { description: documentation(attributes), ..Self::default() };
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| said.heed(&meta))?;
        }
        Ok(said)
    }

    fn heed(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> Result<()> {
        let Some(word) = meta.path.get_ident() else { return Err(meta.error("unknown to the derived schema")) };
        match word.to_string().as_str() {
            "default" => {
                self.has_default = true;
                // With or without a function that makes the value.
                if meta.input.peek(syn::Token![=]) { meta.value()?.parse::<LitStr>().map(|_| ()) } else { Ok(()) }
            }
            "deny_unknown_fields" => {
                self.denies_unknown = true;
                Ok(())
            }
            "skip" | "skip_deserializing" => {
                self.is_skipped = true;
                Ok(())
            }
            "rename" => {
                self.rename = Some(meta.value()?.parse::<LitStr>()?.value());
                Ok(())
            }
            "rename_all" => {
                let text: LitStr = meta.value()?.parse()?;
                self.rename_all = Case::named(&text.value()).ok_or_else(|| meta.error("unknown case"))?;
                Ok(())
            }
            _ => Err(meta.error("the derived schema cannot tell of this: implement `JsonSchema` by hand")),
        }
    }
}

/// Documentation comments as one text: lines joined, paragraphs apart.
fn documentation(attributes: &[Attribute]) -> Option<String> {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let syn::Meta::NameValue(pair) = &attribute.meta else { continue };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &pair.value else { continue };
        let line = line.value();
        let line = line.trim();
        let separator = if text.is_empty() || text.ends_with('\n') { "" } else { " " };
        text.push_str(if line.is_empty() { "\n" } else { separator });
        text.push_str(line);
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// How serde's `rename_all` writes names.
#[derive(Clone, Copy, Default)]
enum Case {
    #[default]
    AsWritten,
    Lower,
    Snake,
    Kebab,
    Camel,
}

impl Case {
    fn named(name: &str) -> Option<Self> {
        match name {
            "lowercase" => Some(Self::Lower),
            "snake_case" => Some(Self::Snake),
            "kebab-case" => Some(Self::Kebab),
            "camelCase" => Some(Self::Camel),
            _ => None,
        }
    }

    /// The name of a field that is written in snake_case.
    fn field(self, name: &str) -> String {
        match self {
            Self::AsWritten | Self::Lower | Self::Snake => name.to_owned(),
            Self::Kebab => name.replace('_', "-"),
            Self::Camel => {
                let mut words = name.split('_');
                let first = words.next().unwrap_or_default().to_owned();
                words.fold(first, |name, word| name + &with_first(word, char::to_ascii_uppercase))
            }
        }
    }

    /// The name of a variant that is written in PascalCase.
    fn variant(self, name: &str) -> String {
        let apart = |separator: char| {
            let mut apart = String::new();
            for (index, letter) in name.char_indices() {
                if index > 0 && letter.is_ascii_uppercase() {
                    apart.push(separator);
                }
                apart.push(letter.to_ascii_lowercase());
            }
            apart
        };
        match self {
            Self::AsWritten => name.to_owned(),
            Self::Lower => name.to_ascii_lowercase(),
            Self::Snake => apart('_'),
            Self::Kebab => apart('-'),
            Self::Camel => with_first(name, char::to_ascii_lowercase),
        }
    }
}

fn with_first(word: &str, change: fn(&char) -> char) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| change(&first)).into_iter().chain(letters).collect()
}

/// Whether a field may be left out because it is an `Option`.
fn is_option(kind: &syn::Type) -> bool {
    let syn::Type::Path(path) = kind else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Option")
}

/// A text as JSON writes it.
fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}
