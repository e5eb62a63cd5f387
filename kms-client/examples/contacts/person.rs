//! Realistic contacts from a seed: the same seed and number always give the same contact, so that what is
//! read back can be compared without keeping a copy.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Accounts (tenants) that the contacts belong to.
pub(crate) const ACCOUNTS: usize = 50;

const FIRST: [&str; 40] = [
    "Amelia", "Noah", "Olivia", "Liam", "Sofía", "Mateo", "Chloé", "Lukas", "Anna", "Jakub", "Zoë",
    "Emre", "Aylin", "Yuki", "Haruto", "Mei", "Wei", "Priya", "Arjun", "Fatima", "Omar", "Leïla",
    "Kwame", "Amara", "Thabo", "Ingrid", "Søren", "Freja", "Matti", "Aino", "Giulia", "Lorenzo",
    "João", "Beatriz", "Nikos", "Eleni", "Ivan", "Olena", "Siobhán", "Rhys",
];
const LAST: [&str; 40] = [
    "Smith",
    "Jones",
    "García",
    "Müller",
    "Dubois",
    "Rossi",
    "Silva",
    "Novák",
    "Kowalski",
    "Nagy",
    "Yılmaz",
    "Tanaka",
    "Suzuki",
    "Wang",
    "Li",
    "Kumar",
    "Patel",
    "Hassan",
    "Haddad",
    "Mensah",
    "Okafor",
    "Nkosi",
    "Hansen",
    "Lindqvist",
    "Virtanen",
    "Korhonen",
    "Ferrari",
    "Costa",
    "Papadopoulos",
    "Petrov",
    "Shevchenko",
    "O'Brien",
    "Evans",
    "van Dijk",
    "Schneider",
    "Weber",
    "Moreau",
    "Laurent",
    "Jensen",
    "Andersson",
];
const DOMAINS: [&str; 8] = [
    "example.com",
    "example.org",
    "example.net",
    "mail.example.com",
    "kontor.example",
    "firma.example",
    "bureau.example",
    "works.example",
];
const DIAL: [(&str, usize); 8] = [
    ("+44 20", 8),
    ("+49 30", 7),
    ("+33 1", 8),
    ("+34 91", 7),
    ("+39 06", 7),
    ("+81 3", 8),
    ("+1 212", 7),
    ("+90 212", 7),
];
const NOTES: [&str; 12] = [
    "Prefers calls before noon.",
    "Renewal due in spring; asked for a discount.",
    "Met at the trade fair.",
    "Do not call on Fridays.",
    "Decides together with the head of purchasing.",
    "Wants invoices by post.",
    "Speaks some German.",
    "Complained about late delivery in March; settled.",
    "Has two children, likes sailing.",
    "Interested in the premium plan.",
    "On parental leave until autumn.",
    "Referred by an old customer.",
];

/// A CRM contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    /// Primary key; also the subject's name.
    pub(crate) id: String,
    /// Account that the contact belongs to.
    pub(crate) account: String,
    /// In the clear in this example.
    pub(crate) name: String,
    /// Encrypted, like the next two.
    pub(crate) email: String,
    pub(crate) phone: String,
    pub(crate) notes: String,
}

impl Contact {
    /// The contact of this number under this seed.
    pub(crate) fn of(seed: u32, number: usize) -> Self {
        let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = SmallRng::seed_from_u64(u64::from(seed) ^ mixed);
        let first = *FIRST.choose(&mut random).unwrap_or(&"Amelia");
        let last = *LAST.choose(&mut random).unwrap_or(&"Smith");
        let domain = *DOMAINS.choose(&mut random).unwrap_or(&"example.com");
        let local = ascii(&format!("{first}.{last}")).to_lowercase();
        let sentences = random.random_range(1..=4);
        let notes = (0..sentences).filter_map(|_| NOTES.choose(&mut random).copied());
        let notes = notes.collect::<Vec<_>>().join(" ");
        Self {
            id: format!("{seed:08x}-{number:07}"),
            account: format!("account-{:02}", number % ACCOUNTS),
            name: format!("{first} {last}"),
            email: format!("{local}{}@{domain}", random.random_range(1..1000)),
            phone: phone(&mut random),
            notes,
        }
    }
}

fn phone(random: &mut SmallRng) -> String {
    let (prefix, digits) = *DIAL.choose(random).unwrap_or(&("+44 20", 8));
    let mut text = format!("{prefix} ");
    for _ in 0..digits {
        text.push(char::from(random.random_range(b'0'..=b'9')));
    }
    text
}

/// Letters, digits and dots that an address may bear.
fn ascii(text: &str) -> String {
    let plain = text.chars().map(|letter| match letter {
        'é' | 'ë' => 'e',
        'í' | 'ï' | 'ı' => 'i',
        'á' | 'ã' => 'a',
        'ø' => 'o',
        'ü' => 'u',
        letter => letter,
    });
    plain
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '.')
        .collect()
}
