//! The invented language: its words and endings, and how a sentence is said in both languages.
//!
//! | | in the tales | in the invented language |
//! |---|---|---|
//! | order | subject, verb, object, places | subject, places from the last to the first, object, verb |
//! | adjectives, numbers | before the noun | after it |
//! | where something is | a preposition | a word after the noun, which has an ending for it |
//! | agreement | of the verb, hardly | of adjectives in class, number and case, of verbs in class and number |
//! | things | an adjective and a noun | one word |
//! | "a" | before the noun | `su`, last in its phrase; "the" is nothing |
//! | "and" between clauses | before the clause | `ke`, behind its verb |

/// Nouns are of one of two classes, with which adjectives and verbs agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    O,
    A,
}

/// What a phrase is in its clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Subject,
    Object,
    Place,
}

/// A noun in both languages.
#[derive(Debug)]
pub(super) struct Noun {
    singular: &'static str,
    plural: &'static str,
    stem: &'static str,
    class: Class,
}

/// A word that has an ending in the invented language alone.
pub(super) type Word = (&'static str, &'static str);

const fn noun(singular: &'static str, plural: &'static str, stem: &'static str, class: Class) -> Noun {
    Noun { singular, plural, stem, class }
}

/// Heroes, who need no article.
pub(super) const NAMES: &[Noun] = &[
    noun("Anna", "", "Anela", Class::A),
    noun("Tom", "", "Tomur", Class::O),
    noun("Mira", "", "Mirel", Class::A),
    noun("Hugo", "", "Hugor", Class::O),
    noun("Nell", "", "Neliv", Class::A),
    noun("Otto", "", "Otim", Class::O),
];

pub(super) const BEINGS: &[Noun] = &[
    noun("fox", "foxes", "raval", Class::O),
    noun("hare", "hares", "lipin", Class::A),
    noun("wolf", "wolves", "gorth", Class::O),
    noun("bear", "bears", "bront", Class::O),
    noun("raven", "ravens", "karis", Class::A),
    noun("goat", "goats", "mekar", Class::A),
    noun("toad", "toads", "vulg", Class::O),
    noun("dragon", "dragons", "zamor", Class::O),
    noun("goblin", "goblins", "drib", Class::O),
    noun("witch", "witches", "selun", Class::A),
    noun("giant", "giants", "hurum", Class::O),
    noun("king", "kings", "tarek", Class::O),
];

/// Two words of the tales that are one.
pub(super) const THINGS: &[Noun] = &[
    noun("silver key", "silver keys", "kelmar", Class::A),
    noun("golden ring", "golden rings", "oril", Class::A),
    noun("blue lantern", "blue lanterns", "luvin", Class::O),
    noun("red kite", "red kites", "pashek", Class::O),
    noun("wooden flute", "wooden flutes", "tirun", Class::A),
    noun("magic bean", "magic beans", "bolim", Class::O),
];

pub(super) const PLACES: &[Noun] = &[
    noun("forest", "forests", "sildur", Class::O),
    noun("river", "rivers", "nareth", Class::A),
    noun("hill", "hills", "kumb", Class::O),
    noun("sea", "seas", "marel", Class::A),
    noun("mountain", "mountains", "arog", Class::O),
    noun("road", "roads", "vesht", Class::A),
    noun("bridge", "bridges", "pontil", Class::A),
    noun("well", "wells", "dubin", Class::O),
    noun("garden", "gardens", "floris", Class::A),
    noun("cave", "caves", "krang", Class::O),
    noun("valley", "valleys", "onder", Class::O),
];

pub(super) const TEMPERS: &[Word] = &[
    ("hungry", "fam"),
    ("grey", "gris"),
    ("friendly", "alv"),
    ("sleepy", "dorm"),
    ("strange", "xen"),
    ("tiny", "pik"),
];

pub(super) const LOOKS: &[Word] = &[
    ("dark", "tem"),
    ("green", "verd"),
    ("old", "sen"),
    ("silent", "mut"),
    ("misty", "neb"),
    ("lonely", "sol"),
    ("frozen", "kri"),
];

pub(super) const NUMBERS: &[Word] = &[("two", "bi"), ("three", "tri"), ("seven", "sepa"), ("nine", "nov")];

pub(super) const PREPOSITIONS: &[Word] = &[
    ("near", "op"),
    ("behind", "rel"),
    ("beside", "lat"),
    ("under", "sob"),
    ("over", "tra"),
    ("through", "med"),
    ("along", "paral"),
    ("past", "dep"),
    ("around", "zirk"),
];

/// Verbs without an object.
pub(super) const MOTIONS: &[Word] =
    &[("walked", "pas"), ("ran", "kur"), ("wandered", "vag"), ("rode", "hip"), ("flew", "vol"), ("crept", "rep")];

/// Verbs with one.
pub(super) const DEEDS: &[Word] = &[
    ("found", "trov"),
    ("lost", "perd"),
    ("stole", "ladr"),
    ("saw", "vid"),
    ("carried", "port"),
    ("hid", "kel"),
    ("loved", "mil"),
];

/// How a noun is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Determiner {
    /// A name.
    None,
    The,
    A,
    /// As many of them.
    Number(usize),
}

/// A noun with what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Phrase {
    pub(super) noun: &'static Noun,
    pub(super) determiner: Determiner,
    pub(super) adjective: Option<Word>,
}

/// Someone, what they do, to what, and where.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    pub(super) subject: Phrase,
    pub(super) verb: Word,
    pub(super) object: Option<Phrase>,
    /// Prepositions and what they belong to.
    pub(super) places: Vec<(Word, Phrase)>,
}

impl Phrase {
    fn is_plural(&self) -> bool {
        matches!(self.determiner, Determiner::Number(_))
    }

    fn english(&self, words: &mut Vec<String>) {
        let noun = if self.is_plural() { self.noun.plural } else { self.noun.singular };
        let next = self.adjective.map_or(noun, |(english, _)| english);
        match self.determiner {
            Determiner::None => {}
            Determiner::The => words.push("the".to_owned()),
            Determiner::A => {
                words.push(if next.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }.to_owned());
            }
            Determiner::Number(number) => words.push(NUMBERS[number].0.to_owned()),
        }
        words.extend(self.adjective.map(|(english, _)| english.to_owned()));
        words.push(noun.to_owned());
    }

    fn invented(&self, case: Case, words: &mut Vec<String>) {
        let (class, plural) = (self.noun.class, if self.is_plural() { "i" } else { "" });
        let ending = match (case, class) {
            (Case::Subject, _) => "",
            (Case::Object, Class::O) => "n",
            (Case::Object, Class::A) => "m",
            (Case::Place, Class::O) => "ri",
            (Case::Place, Class::A) => "la",
        };
        let vowel = if class == Class::O { "o" } else { "a" };
        // Names and nouns have no vowel of their class where nothing follows.
        let link = if plural.is_empty() && ending.is_empty() { "" } else { "e" };
        words.push(format!("{}{link}{plural}{ending}", self.noun.stem));
        words.extend(self.adjective.map(|(_, stem)| format!("{stem}{vowel}{plural}{ending}")));
        match self.determiner {
            Determiner::Number(number) => words.push(NUMBERS[number].1.to_owned()),
            Determiner::A => words.push("su".to_owned()),
            Determiner::None | Determiner::The => {}
        }
    }
}

impl Clause {
    fn english(&self, words: &mut Vec<String>) {
        self.subject.english(words);
        words.push(self.verb.0.to_owned());
        if let Some(object) = &self.object {
            object.english(words);
        }
        for (preposition, phrase) in &self.places {
            words.push(preposition.0.to_owned());
            phrase.english(words);
        }
    }

    fn invented(&self, words: &mut Vec<String>) {
        self.subject.invented(Case::Subject, words);
        for (preposition, phrase) in self.places.iter().rev() {
            phrase.invented(Case::Place, words);
            words.push(preposition.1.to_owned());
        }
        if let Some(object) = &self.object {
            object.invented(Case::Object, words);
        }
        let ending = match (self.subject.is_plural(), self.subject.noun.class) {
            (true, _) => "in",
            (false, Class::O) => "et",
            (false, Class::A) => "at",
        };
        words.push(format!("{}{ending}", self.verb.1));
    }
}

/// What clauses are in the tales' language.
pub(super) fn english(clauses: &[Clause]) -> String {
    let mut words = Vec::new();
    for (index, clause) in clauses.iter().enumerate() {
        if index > 0 {
            words.push("and".to_owned());
        }
        clause.english(&mut words);
    }
    sentence(&words)
}

/// What they are in the invented one.
pub(super) fn invented(clauses: &[Clause]) -> String {
    let mut words = Vec::new();
    for (index, clause) in clauses.iter().enumerate() {
        clause.invented(&mut words);
        if index > 0 {
            words.push("ke".to_owned());
        }
    }
    sentence(&words)
}

/// Words with blanks between them and a full stop behind, the first with a capital.
fn sentence(words: &[String]) -> String {
    let text = words.join(" ");
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}
